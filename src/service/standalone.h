#pragma once

#include "service/namespaces.h"

namespace quarry::service {

// A namespace whose vectors come from its clients, with the one collection that upserts go to unless they name another. `body` is the
// contract's CreateStandaloneNamespaceRequestModel, or a CreateNamespaceRequest of mode "standalone".
Result<OpenNamespace> make_standalone_namespace(const RequestContext& context, const Dependencies& deps, const json::object& body);

}  // namespace quarry::service
