# ./run bench [NAME ...] [--json FILE]: the benchmarks of bench/run.py on the release build.
run_bench() {
  setup_all bench
  setup_test_python
  build_preset release all bench-model bench-upsert
  export QUARRY_BIN=$root/build/release/bin
  exec "$venv_dir/bin/python" -B "$root/bench/run.py" "$@"
}
