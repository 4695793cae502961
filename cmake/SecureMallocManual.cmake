# SPDX-License-Identifier: ISC
# The manual. Every function has a page of its own name, so that `man secure_free` works: a link to the
# page that describes them all. The symbol map is the list of functions.

set(map "${PROJECT_SOURCE_DIR}/src/secure_malloc.map")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${map}")
file(STRINGS "${map}" functions REGEX "^    secure_[a-z_]+;$")
list(TRANSFORM functions REPLACE "^ *([a-z_]+);$" "\\1")
list(REMOVE_ITEM functions secure_malloc)

file(REMOVE_RECURSE "${CMAKE_CURRENT_BINARY_DIR}/man3")
foreach(function IN LISTS functions)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/man3/${function}.3" ".so man3/secure_malloc.3\n")
endforeach()

install(FILES "${PROJECT_SOURCE_DIR}/man/secure_malloc.3"
    DESTINATION "${CMAKE_INSTALL_MANDIR}/man3" COMPONENT Development)
install(DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/man3/"
    DESTINATION "${CMAKE_INSTALL_MANDIR}/man3" COMPONENT Development)
install(FILES "${PROJECT_SOURCE_DIR}/man/secure_malloc.7"
    DESTINATION "${CMAKE_INSTALL_MANDIR}/man7" COMPONENT Development)
