#pragma once

#include "service/namespaces.h"

namespace quarry::service {

// Removes the namespace's rows in one transaction, after which nobody can reach it; then its tables and its bytes. A crash in between
// leaves bytes that nothing refers to, under the namespace's prefix.
Status remove_namespace(const OpenNamespace& ns, const Dependencies& deps);

}  // namespace quarry::service
