# SPDX-License-Identifier: ISC
# The tests of src/pages, src/heap and src/api: their own instances of the layers, over an operating
# system that fails when it is told to (os_faults.h).

set(OS_FAULTS_WRAPS
    os_pages_reserve
    os_pages_unreserve
    os_pages_open_bookkeeping
    os_pages_open
    os_pages_close
    os_pages_protect
    os_pages_advise
    os_pages_lock
    os_pages_relock
    os_pages_purge
    os_guard_install
    os_pages_populate
    os_lock_limit
    os_process_lock)
list(TRANSFORM OS_FAULTS_WRAPS PREPEND "LINKER:--wrap=" OUTPUT_VARIABLE os_faults_options)

# Compiled once for all of them.
add_library(secure_malloc_layers OBJECT layer.c os_faults.c)
target_include_directories(secure_malloc_layers PRIVATE "${PROJECT_SOURCE_DIR}/tests")
target_compile_definitions(secure_malloc_layers PRIVATE SECURE_MALLOC_DEBUG=1)
target_link_libraries(secure_malloc_layers PRIVATE secure_malloc_internals secure_malloc_support)

function(secure_malloc_add_layer_test unit)
    secure_malloc_add_test(NAME unit.${unit} SOURCES ${unit}.c $<TARGET_OBJECTS:secure_malloc_layers>
        WHITE_BOX LINK_OPTIONS ${os_faults_options} ${ARGN})
endfunction()

foreach(unit
    api_process
    api_state
    heap_cache
    heap_canary
    heap_faults
    heap_fork
    heap_fork_modes
    heap_heap
    heap_idle
    heap_large
    heap_large_change
    heap_live
    heap_magazine
    heap_reallocate
    heap_record
    heap_size_class
    heap_slab
    heap_slab_pick
    heap_slab_walk
    heap_slot
    heap_slot_shape
    heap_slot_shape_avx2
    heap_spare
    heap_stock
    heap_zeroize
    pages_bookkeeping
    pages_extents
    pages_extents_list
    pages_extents_resize
    pages_faults
    pages_fork
    pages_pages
    pages_purge
    pages_region
    pages_registry
    pages_release
    pages_runs
    pages_runs_find
    pages_runs_open
    pages_runs_release)
    secure_malloc_add_layer_test(${unit})
endforeach()

# As src/CMakeLists.txt compiles the file whose lines are this long.
if(SECURE_MALLOC_HAS_AVX2)
    set_source_files_properties(heap_slot_shape_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mbmi2")
endif()

secure_malloc_add_layer_test(heap_slot_wide
    LINKER:--wrap=slot_issue_dirty LINKER:--wrap=slot_free_damaged)
secure_malloc_add_layer_test(heap_mutexes
    LINKER:--wrap=mutex_lock LINKER:--wrap=mutex_try_lock LINKER:--wrap=mutex_unlock)
