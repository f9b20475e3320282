# ./run bench [NAME] [--json FILE]: the benchmarks under bench/, each in its own process, printed as a table.
run_bench() {
  setup_all bench
  build_preset release
  exec "$venv_dir/bin/python" -B "$root/bench/bench.py" --bin "$root/build/release/bin" "$@"
}
