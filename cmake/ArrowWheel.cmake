# Arrow C++: imported targets quarry_arrow, quarry_arrow_compute, quarry_parquet.
# A system Arrow of the proven major version is used where CMake finds one; otherwise the libraries and headers inside the
# pyarrow wheel of .deps/venv, which have the right C++ ABI and no CMake files of their own.
set(QUARRY_ARROW_MAJOR 26)

find_package(Arrow ${QUARRY_ARROW_MAJOR} QUIET CONFIG)
find_package(Parquet ${QUARRY_ARROW_MAJOR} QUIET CONFIG)
find_package(ArrowCompute ${QUARRY_ARROW_MAJOR} QUIET CONFIG)

if(Arrow_FOUND AND Parquet_FOUND AND ArrowCompute_FOUND)
  message(STATUS "Arrow ${Arrow_VERSION}: the system's")
  add_library(quarry_arrow ALIAS Arrow::arrow_shared)
  add_library(quarry_arrow_compute ALIAS ArrowCompute::arrow_compute_shared)
  add_library(quarry_parquet ALIAS Parquet::parquet_shared)
  return()
endif()

file(GLOB quarry_pyarrow_dirs "${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/pyarrow")
list(LENGTH quarry_pyarrow_dirs quarry_pyarrow_count)
if(NOT quarry_pyarrow_count EQUAL 1)
  message(FATAL_ERROR "Arrow C++ is neither installed nor in .deps/venv: run ./run setup first")
endif()

function(quarry_import_arrow target library)
  file(GLOB file "${quarry_pyarrow_dirs}/lib${library}.so.${QUARRY_ARROW_MAJOR}[0-9][0-9]")
  if(NOT file)
    message(FATAL_ERROR "lib${library}.so.${QUARRY_ARROW_MAJOR}xx is absent from ${quarry_pyarrow_dirs}: run ./run setup again")
  endif()
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION "${file}"
    INTERFACE_INCLUDE_DIRECTORIES "${quarry_pyarrow_dirs}/include"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${quarry_pyarrow_dirs}/include"
    INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

quarry_import_arrow(quarry_arrow arrow)
quarry_import_arrow(quarry_arrow_compute arrow_compute quarry_arrow)
quarry_import_arrow(quarry_parquet parquet quarry_arrow)
message(STATUS "Arrow ${QUARRY_ARROW_MAJOR}: ${quarry_pyarrow_dirs}")
