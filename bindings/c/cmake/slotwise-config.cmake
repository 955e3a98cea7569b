# slotwise::slotwise is the shared library, slotwise::static the static one. Nothing here is written
# at installation: the files lie beside or above this one, wherever they were moved to.
get_filename_component(_slotwise_here "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
set(_slotwise_prefix "${_slotwise_here}")
while(NOT EXISTS "${_slotwise_prefix}/include/slotwise.h")
  get_filename_component(_slotwise_up "${_slotwise_prefix}" DIRECTORY)
  if(_slotwise_up STREQUAL _slotwise_prefix)
    set(slotwise_FOUND FALSE)
    set(slotwise_NOT_FOUND_MESSAGE "no include/slotwise.h above ${_slotwise_here}")
    return()
  endif()
  set(_slotwise_prefix "${_slotwise_up}")
endwhile()

# In lib/cmake/slotwise by `make install`, in share/cmake/slotwise by cargo-c.
get_filename_component(_slotwise_lib "${_slotwise_here}/../.." ABSOLUTE)
foreach(_slotwise_dir "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib64 lib)
  if(NOT EXISTS "${_slotwise_lib}/libslotwise.a")
    set(_slotwise_lib "${_slotwise_prefix}/${_slotwise_dir}")
  endif()
endforeach()

find_package(Threads REQUIRED)
if(NOT TARGET slotwise::slotwise)
  add_library(slotwise::slotwise SHARED IMPORTED)
  set_target_properties(slotwise::slotwise PROPERTIES
    IMPORTED_LOCATION "${_slotwise_lib}/libslotwise${CMAKE_SHARED_LIBRARY_SUFFIX}"
    INTERFACE_INCLUDE_DIRECTORIES "${_slotwise_prefix}/include")
  add_library(slotwise::static STATIC IMPORTED)
  set_target_properties(slotwise::static PROPERTIES
    IMPORTED_LOCATION "${_slotwise_lib}/libslotwise.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_slotwise_prefix}/include"
    INTERFACE_LINK_LIBRARIES "gcc_s;m;Threads::Threads;${CMAKE_DL_LIBS}")
endif()
