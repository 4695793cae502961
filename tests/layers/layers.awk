# SPDX-License-Identifier: ISC
# The rules behind layers.sh. Files are named by their path in src/, "heap/slab.c". It relies on the
# house format, which clang-format keeps: a function's braces, and no others, stand alone in column 1.

BEGIN {
    # Data flows to the right; a folder may include what is in the list.
    may_include["api"]    = "api heap pages os policy base"
    may_include["heap"]   = "heap pages os policy base"
    may_include["pages"]  = "pages os policy base"
    may_include["os"]     = "os policy base"
    may_include["policy"] = "policy base"
    may_include["base"]   = "base"

    # The only memory system calls of the library are in os/. These are not even named elsewhere.
    allow_name("os", "mmap munmap mremap mprotect pkey_mprotect madvise process_madvise mlock mlock2 " \
        "munlock mlockall munlockall mincore msync memfd_create memfd_secret sbrk brk")

    # What calls the system, and who may. What no folder may call is at the end.
    allow_call("os", "open openat read pread close ioctl fcntl prctl sysconf getpagesize " \
        "getrlimit setrlimit prlimit getpid gettid getuid geteuid sched_yield clock_gettime nanosleep " \
        "usleep stat fstat lstat poll")
    # base/ asks by number: write and getrandom are cancellation points, and a thread that is cancelled
    # within them would take our mutexes along.
    allow_call("os base", "syscall")
    allow_call("base", "write getrandom getentropy getauxval abort pthread_mutex_init " \
        "pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock pthread_mutex_destroy " \
        "pthread_cond_init pthread_cond_wait pthread_cond_signal pthread_cond_broadcast")
    allow_call("api", "pthread_atfork pthread_key_create pthread_setspecific pthread_getspecific " \
        "pthread_once secure_getenv atexit")
    allow_call("", "malloc calloc realloc reallocarray free cfree aligned_alloc posix_memalign " \
        "memalign valloc strdup strndup asprintf vasprintf qsort qsort_r getenv setenv " \
        "fopen fdopen fclose fread fwrite fgets fputs fputc fflush getline printf fprintf dprintf " \
        "vdprintf vfprintf sprintf snprintf vsnprintf puts putchar perror sscanf fscanf scanf " \
        "strerror assert exit _exit quick_exit system popen fork vfork clone " \
        "pthread_create pthread_exit pthread_cancel signal sigaction raise kill")

    split("stdio.h assert.h malloc.h alloca.h search.h", list, " ")
    for (i in list)
        no_header[list[i]] = 1

    # What a file outside os/ may ask the preprocessor: compilers and builds, never platforms.
    split("defined __has_feature __has_attribute __has_builtin address_sanitizer thread_sanitizer " \
        "memory_sanitizer __SANITIZE_ADDRESS__ __SANITIZE_THREAD__ SECURE_MALLOC_DEBUG __cplusplus " \
        "__GNUC__ __clang__ __FILE_NAME__", list, " ")
    for (i in list)
        may_ask[list[i]] = 1
    # Set by a file before it includes this one: how it wants the code that it gets.
    may_ask["heap/slot_shape.h", "SLOT_LINE"] = 1

    LINES_MAX = 320
    FUNCTION_LINES_MAX = 60
    PARAMETERS_MAX = 5
}

function among(word, words) {
    return index(" " words " ", " " word " ") > 0
}

function allow_name(folder, names,    list, i) {
    split(names, list, " ")
    for (i in list)
        name_of[list[i]] = folder
}

function allow_call(folder, names,    list, i) {
    split(names, list, " ")
    for (i in list)
        call_of[list[i]] = folder
}

function breach(rule, what) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, rule, what
    breaches++
}

# The line without comments and without what is inside quotes; in_comment lasts from line to line.
function code_of(line,    out, c, two, quote) {
    out = ""
    quote = ""
    while (line != "") {
        c = substr(line, 1, 1)
        two = substr(line, 1, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; line = substr(line, 3) }
            else line = substr(line, 2)
        } else if (quote != "") {
            if (c == "\\") line = substr(line, 3)
            else { if (c == quote) { quote = ""; out = out c } line = substr(line, 2) }
        } else if (two == "/*") { in_comment = 1; out = out " "; line = substr(line, 3) }
        else if (two == "//") line = ""
        else { if (c == "\"" || c == "'") quote = c; out = out c; line = substr(line, 2) }
    }
    return out
}

function check_include(line,    target, to) {
    target = line
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", target)
    if (target ~ /^</) {
        sub(/^</, "", target)
        sub(/>.*$/, "", target)
        if (target in no_header)
            breach("header", "<" target "> is not for this library")
        if (target == "sys/mman.h" && folder != "os")
            breach("header", "<sys/mman.h> belongs to os/")
        return
    }
    sub(/^"/, "", target)
    sub(/".*$/, "", target)
    if (target == "secure_malloc.h")
        return
    to = target
    sub(/\/.*$/, "", to)
    if (to == target || target ~ /\.\./ || !(to in may_include))
        breach("include", "\"" target "\": name it by folder and file")
    else if (!among(to, may_include[folder]))
        breach("include", folder "/ may not include \"" target "\"")
}

function check_conditional(code,    word, rest) {
    rest = code
    sub(/^[ \t]*#[ \t]*(ifdef|ifndef|elif|if)/, "", rest)
    if (code ~ /^[ \t]*#[ \t]*ifndef/ && !guard_seen) {
        guard_seen = 1
        guard = rest
        gsub(/[ \t]/, "", guard)
        if (guard ~ /_H$/)
            return
    }
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*/)) {
        word = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        if (!(word in may_ask) && !((FILENAME, word) in may_ask))
            breach("conditional", word ": platforms are files, not branches")
    }
}

function check_words(code,    word, before, rest) {
    rest = code
    before = ""
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*/)) {
        word = substr(rest, RSTART, RLENGTH)
        before = before substr(rest, 1, RSTART - 1)
        rest = substr(rest, RSTART + RLENGTH)
        if (before !~ /(\.|->)[ \t]*$/) {
            if ((word in name_of) && !among(folder, name_of[word]))
                breach("system call", word " is named only in " name_of[word] "/")
            if ((word in call_of) && !among(folder, call_of[word]) && rest ~ /^[ \t]*\(/)
                breach("call", call_of[word] == "" ? word " is called nowhere in src/" \
                    : word " is called only in: " call_of[word])
            if (word == "syscall" && folder == "base" && rest !~ /^[ \t]*\(SYS_(write|getrandom),/)
                breach("call", "base/ makes no system call but write and getrandom")
            if (word ~ /^pthread_/ && !(word in call_of) && word !~ /_t$/ && rest ~ /^[ \t]*\(/)
                breach("call", word " is not on any folder's list")
            if (word == "errno" && !among(folder, "api os base"))
                breach("errno", "set in api/, read in os/, kept in base/; the others return -errno")
        }
        before = before word
    }
}

# Commas at the outer level of the last parameter list.
function parameters_of(declaration,    i, c, depth, count) {
    if (declaration !~ /\)[ \t]*$/)
        return 0
    depth = 0
    count = 1
    for (i = length(declaration); i > 0; i--) {
        c = substr(declaration, i, 1)
        if (c == ")") depth++
        if (c == "(" && --depth == 0)
            return count
        if (c == "," && depth == 1)
            count++
    }
    return 0
}

function end_file() {
    if (file != "" && file ~ /\.c$/ && lines > LINES_MAX) {
        printf "%s:%d: length: %d lines, at most %d\n", file, lines, lines, LINES_MAX
        breaches++
    }
}

FNR == 1 {
    end_file()
    file = FILENAME
    folder = FILENAME
    sub(/\/.*$/, "", folder)
    in_comment = in_function = guard_seen = 0
    declaration = ""
    if (!(folder in may_include))
        breach("folder", "not one of api, heap, pages, os, policy, base")
}

{
    lines = FNR
    code = code_of($0)
}

code ~ /^[ \t]*#/ {
    if (code ~ /^[ \t]*#[ \t]*include/)
        check_include($0)
    else if (code ~ /^[ \t]*#[ \t]*(if|elif)/ && folder != "os")
        check_conditional(code)
    else
        check_words(code)
    next
}

{ check_words(code) }

code ~ /^\{/ {
    in_function = FNR
    if (parameters_of(declaration) > PARAMETERS_MAX)
        breach("parameters", "at most " PARAMETERS_MAX)
    next
}

code ~ /^\}/ {
    if (in_function && FNR - in_function - 1 > FUNCTION_LINES_MAX)
        breach("length", "a function of " FNR - in_function - 1 " lines, at most " FUNCTION_LINES_MAX)
    in_function = 0
    declaration = ""
    next
}

!in_function {
    declaration = code ~ /^[ \t]*$/ || code ~ /;[ \t]*$/ ? "" : declaration " " code
}

END {
    end_file()
    if (breaches) {
        printf "%d breaches\n", breaches
        exit 1
    }
}
