# Spark for the long form of the tests: PySpark into .deps/venv, Delta's library for it into .deps/spark. Needs the packages of the group `long`.
add_spark() {
  local setup=$root/tools/setup want stamp=$deps_dir/spark/.stamp
  want=$(digest_of "$setup/requirements-long.txt" "$setup/spark/pom.xml" "$venv_dir/.base")
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  pip_install -r "$setup/requirements-long.txt"
  rm -rf "$deps_dir/spark"
  # Spark brings what else these need.
  mvn -q -B -f "$setup/spark/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DincludeGroupIds=io.delta,io.unitycatalog "-DoutputDirectory=$deps_dir/spark"
  echo "$want" >"$stamp"
  note "installed in .deps/spark"
}

setup_spark() { step "Spark and its Delta library" add_spark; }
