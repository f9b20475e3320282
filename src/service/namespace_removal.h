#pragma once

#include "service/namespaces.h"

namespace quarry::service {

// Removes the namespace's rows in one transaction, after which nobody can reach it and its id can be taken again; then the tables and files
// of what was in it, and nothing else; completed snapshots stay. A crash in between leaves files that nothing refers to. kBadRequest while batches run, unless
// `force`.
Status remove_namespace(const OpenNamespace& ns, const Dependencies& deps, bool force);

}  // namespace quarry::service
