// The payload indexes of a namespace, as its handlers and those that write documents need them.
#pragma once

#include "service/collections.h"

namespace quarry::service {

// kBadRequest: more than kMaxPayloadIndexes, one field twice, or a field that can't have the column that its index asks for.
Status check_payload_indexes(const json::object& namespace_body);

// As open_collection(), to write to: kBadRequest as check_writable(). The table has a column for each payload index of the namespace
// afterwards.
Result<OpenCollection> open_to_write(const RequestContext& context, const Dependencies& deps, std::string_view identifier);
// The same of a collection that is open and writable; `namespace_body` as at hand.
Status take_payload_indexes(const RequestContext& context, const Dependencies& deps, const json::object& namespace_body,
                            OpenCollection& opened);

}  // namespace quarry::service
