// Grouped aggregation over a bucket's objects.
#include "retrieval/aggregate.h"
#include "service/binding.h"
#include "service/buckets.h"
#include "service/json_access.h"
#include "service/object_view.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr size_t kPage = 1'000;

Result<Reply> aggregate_objects(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(OpenBucket bucket, open_bucket(context, deps, request.param("bucket_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto aggregation, retrieval::Aggregation::parse(request.object()));
  catalog::ListQuery query;
  query.kind = catalog::kind::kObject;
  query.scope = namespace_scope(context);
  query.parent_id = bucket.id();
  query.descending = false;
  query.limit = kPage;
  if (const json::value* filters = request.object().if_contains("filters")) {
    QUARRY_ASSIGN_OR_RETURN(query.filter, parse_filter(*filters));
  }
  for (;;) {
    if (context.expired()) return Error{ErrorKind::kTimeout, "the aggregation took longer than the request may"};
    QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
    for (const auto& object : page.items) QUARRY_RETURN_IF_ERROR(aggregation->add(show_object(object, deps, false)));
    if (!page.has_more || page.items.empty()) return Reply(aggregation->finish());
    query.after = page.last;
  }
}

}  // namespace

void bind_object_aggregate(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "aggregate_objects_buckets", aggregate_objects);
}

}  // namespace quarry::service
