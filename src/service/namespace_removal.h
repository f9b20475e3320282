#pragma once

#include "service/namespaces.h"

namespace quarry::service {

// Where Dependencies::pre_delete_keep_us says so: the id of a snapshot that was taken for this removal, else nothing. A removal that is
// asked for again meanwhile waits for the same one. kTimeout, naming the task, if it takes longer than the request may; if it fails, its
// error, or nothing with `force`. kBadRequest while batches run, unless `force`.
Result<std::string> take_pre_delete_snapshot(const OpenNamespace& ns, const Dependencies& deps, bool force);

// Removes the namespace's rows in one transaction, after which nobody can reach it and its id can be taken again; then the tables and files
// of what was in it, and nothing else; completed snapshots stay. A crash in between leaves files that nothing refers to. kBadRequest while
// batches run, unless `force`.
Status remove_namespace(const OpenNamespace& ns, const Dependencies& deps, bool force);

}  // namespace quarry::service
