// Health: cheap answers for load balancers, a deep one that touches every part.
#include "base/log.h"
#include "service/binding.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

// No I/O: this one is asked thousands of times a second.
Result<Reply> healthcheck(const RequestContext&, const Request&, const Dependencies& deps) {
  return Reply(json::object{{"status", "OK"}, {"version", deps.version}});
}

Result<Reply> liveness(const RequestContext&, const Request&, const Dependencies&) { return Reply(json::object{{"status", "OK"}}); }

Result<Reply> beat(const RequestContext&, const Request&, const Dependencies& deps) {
  return Reply(json::object{{"status", "OK"}, {"time", format_timestamp(deps.clock->now_us())}});
}

struct Probe {
  json::object data, errors;
  void note(std::string_view part, const Status& status) {
    data[part] = status.ok();
    if (status.ok()) return;
    errors[part] = "not reachable";  // anyone may ask; the reason is in the log
    log_warn("health probe failed", {{"part", part}, {"reason", status.error().message}});
  }
};

Status probe_catalog(const Dependencies& deps) {
  return deps.catalog->read([](catalog::Session& session) -> Status {
    auto count = session.count({.kind = std::string(catalog::kind::kOrganization), .limit = 1});
    if (!count.ok()) return std::move(count).error();
    return Ok{};
  });
}

Status probe_store(const Dependencies& deps) {
  auto found = deps.store->head("health-probe");  // never stored: "absent" is the answer of a store that works
  if (!found.ok() && found.error().kind != ErrorKind::kNotFound) return std::move(found).error();
  return Ok{};
}

Status probe_models(const Dependencies& deps) {
  for (const auto& model : deps.models->list())
    if (model.status == "ready") return Ok{};
  return Error{ErrorKind::kInferenceUnavailable, "no text model is ready"};
}

Result<Reply> deep(const RequestContext&, const Request& request, const Dependencies& deps) {
  Probe probe;
  probe.note("metadata", probe_catalog(deps));
  probe.note("object_storage", probe_store(deps));
  probe.note("inference", probe_models(deps));
  probe.note("vector_store", Ok{});
  probe.note("cache", Ok{});
  probe.data["task_queue"] = deps.engine != nullptr;
  probe.data["analytics"] = false;  // not part of this installation
  json::object reply{{"status", probe.errors.empty() ? "OK" : "DEGRADED"}, {"data", std::move(probe.data)}};
  if (!probe.errors.empty()) reply["errors"] = std::move(probe.errors);
  if (bool_member(request.query, "metrics"))
    reply["meta"] = json::object{{"version", deps.version}, {"executor_queued", deps.executor ? deps.executor->queued() : 0}};
  return Reply(std::move(reply));
}

}  // namespace

void bind_health(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "healthcheck_health", healthcheck);
  bind_operation(table, deps, "celery_beat_health", beat);
  bind_operation(table, deps, "healthcheck_deep_health", deep);
  bind_operation(table, deps, "liveness_health", liveness);
}

}  // namespace quarry::service
