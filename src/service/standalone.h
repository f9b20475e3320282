#pragma once

#include "service/service.h"

namespace quarry::service {

// Also what create_namespace does for mode "standalone".
Result<Reply> create_standalone_namespace(const RequestContext& context, const Request& request, const Dependencies& deps);

}  // namespace quarry::service
