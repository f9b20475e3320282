# Configure and build with a CMake preset; ccache and precompiled headers need to be told about each other.
build_preset() {
  local preset=$1
  shift
  export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
  if [[ ! -f build/$preset/build.ninja ]] || ! is_current "build/$preset/.configured" "$(configure_digest)"; then
    step "configure ($preset)" configure "$preset"
  fi
  step "build ($preset)" compile "$preset" "$@"
}

# What a new set-up may change under CMake's feet; CMake watches its own files itself.
configure_digest() { digest_of CMakePresets.json "$venv_dir/.base" "$ort_dir/.stamp"; }

configure() {
  cmake --preset "$1"
  configure_digest >"build/$1/.configured"
}

compile() {
  local preset=$1 jobs
  shift
  jobs=$(build_jobs)
  ninja -C "build/$preset" -j "$jobs" "$@"
  note "$(awk '/^\[[0-9]+\/[0-9]+\]/ { n++ } END { print n ? n " steps" : "nothing to do" }' "$log_dir"/build--"$preset"-.log), $jobs jobs"
}

# One compiler needs up to 1.5 GiB.
build_jobs() {
  local cores memory_gib
  cores=$(nproc)
  memory_gib=$(awk '/MemAvailable/ { print int($2 / 1048576 / 1.5) }' /proc/meminfo)
  ((memory_gib < 1)) && memory_gib=1
  echo $((cores < memory_gib ? cores : memory_gib))
}
