# The entry points of lrm_cuda.h as a part of liblrm: one translation unit, for one field.
set(entry_points ${CMAKE_CURRENT_SOURCE_DIR}/cuda/api/lrm_cuda.cu)

if(NOT EXISTS "${LRM_CUDA_FIELD}" OR IS_DIRECTORY "${LRM_CUDA_FIELD}")
  message(FATAL_ERROR "LRM_CUDA_FIELD: expected the file that export/cuda_field.py writes for an "
    "engine, got '${LRM_CUDA_FIELD}'")
endif()
get_filename_component(field_header "${LRM_CUDA_FIELD}" ABSOLUTE)

if(LRM_CUDA STREQUAL "HOST")
  set_source_files_properties(${entry_points} PROPERTIES LANGUAGE CXX
    COMPILE_OPTIONS "-Wno-unknown-pragmas")
else()
  # Runs on this architecture and, compiled by the driver at first use, on later ones.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80)
  endif()
  enable_language(CUDA)
  set_source_files_properties(${entry_points} PROPERTIES COMPILE_OPTIONS "-prec-div=false")
  set_target_properties(lrm PROPERTIES
    CUDA_STANDARD 17
    CUDA_STANDARD_REQUIRED ON
    CUDA_VISIBILITY_PRESET hidden
    CUDA_RUNTIME_LIBRARY Static)
  # The static runtime's functions are not ours to export.
  target_link_options(lrm PRIVATE LINKER:--exclude-libs,ALL)
endif()

set_property(SOURCE ${entry_points} PROPERTY COMPILE_DEFINITIONS "LRM_CUDA_FIELD=\"${field_header}\"")
target_sources(lrm PRIVATE ${entry_points})
