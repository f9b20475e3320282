# ./run test: every gtest binary of the build and every pytest suite; ends with "N passed, N failed".
test_usage() {
  cat <<'TEXT'
./run test [--asan | --tsan] [--long] [--filter TEXT]
  --asan, --tsan   a build with AddressSanitizer and UBSan, or ThreadSanitizer
  --long           more seeds and bigger data as well
  --filter TEXT    only tests whose name contains TEXT
TEXT
}

run_tests() {
  local preset=release filter= long=
  while (($#)); do
    case $1 in
      --asan) preset=asan ;;
      --tsan) preset=tsan ;;
      --long) long=1 ;;
      --filter)
        (($# > 1)) || die "--filter needs a text"
        filter=$2
        shift
        ;;
      --help) test_usage; return ;;
      *) die "unknown option '$1' of ./run test; ./run test --help" ;;
    esac
    shift
  done
  setup_all test ${long:+long}
  setup_test_python
  [[ -z $long ]] || setup_spark
  setup_s3_servers
  build_preset "$preset"
  exec "$venv_dir/bin/python" -B "$root/tools/setup/test_suites.py" "$preset" ${filter:+--filter "$filter"} ${long:+--long}
}
