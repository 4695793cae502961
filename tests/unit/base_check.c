/* SPDX-License-Identifier: ISC */
#include "base/check.h"

#include <signal.h>
#include <string.h>

#include "unit/expect.h"

static void require_the_impossible(void *context)
{
    int number = *(const int *)context;
    REQUIRE(number == 2);
}

static void break_an_invariant(void *context)
{
    int number = *(const int *)context;
    INVARIANT(number == 2);
}

static void broken_invariant_names_itself_and_its_place(void **state)
{
    (void)state;
    int number = 3;
    assert_death_with(require_the_impossible, &number, SIGABRT,
                      "secure_malloc: fatal: broken invariant: number == 2, ");
    struct child_end end;
    child_run(&end, require_the_impossible, &number);
    assert_non_null(strstr(end.text, "base_check.c:"));
    assert_int_equal(end.text[strlen(end.text) - 1], '\n');
}

static void debug_builds_check_invariants(void **state)
{
    (void)state;
    int number = 3;
    assert_death_with(break_an_invariant, &number, SIGABRT,
                      "secure_malloc: fatal: broken invariant: number == 2, ");
}

static void what_holds_says_nothing(void **state)
{
    (void)state;
    int number = 2;
    assert_survives_with(require_the_impossible, &number);
    assert_survives_with(break_an_invariant, &number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_invariant_names_itself_and_its_place),
        cmocka_unit_test(debug_builds_check_invariants),
        cmocka_unit_test(what_holds_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
