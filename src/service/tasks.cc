// Background tasks: list, look at, end.
#include <fmt/format.h>

#include "service/binding.h"
#include "service/json_access.h"
#include "service/paging.h"
#include "service/resources.h"
#include "service/task_view.h"

namespace quarry::service {
namespace {

constexpr size_t kScanPage = 500, kMaxScanned = 10'000;

Result<Task> find_task(const RequestContext& context, const Dependencies& deps, std::string_view task_id) {
  Task task;
  auto found = deps.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(task, session.get_task(namespace_scope(context), task_id));
    return Ok{};
  });
  if (!found.ok() && found.error().kind == ErrorKind::kNotFound)
    return not_found(fmt::format("Task '{}' not found", task_id.substr(0, 300)));
  QUARRY_RETURN_IF_ERROR(found);
  return task;
}

Result<Reply> get_task(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(Task task, find_task(context, deps, request.param("task_id")));
  return Reply(show_task(task));
}

struct Selection {
  catalog::TaskQuery query;
  Filter filter;
  std::string search;

  bool needs_scan() const { return !filter.matches_all() || !search.empty(); }
  bool takes(const json::object& shown) const {
    return matches(filter, shown) && (search.empty() || json::serialize(shown).find(search) != std::string::npos);
  }
};

Result<Selection> parse_selection(const RequestContext& context, const json::object& body) {
  Selection out;
  out.query.scope = namespace_scope(context);
  if (std::string_view status = string_member(body, "status"); !status.empty()) {
    TaskStatus parsed = parse_task_status(status);
    if (to_string(parsed) != status) return validation_error("enum", {"body", "status"}, fmt::format("no task is ever '{}'", status));
    out.query.statuses = {parsed};
  }
  out.query.task_type = string_member(body, "task_type");
  out.search = string_member(body, "search");
  if (const json::value* filters = body.if_contains("filters")) {
    QUARRY_ASSIGN_OR_RETURN(out.filter, parse_filter(*filters));
  }
  const json::object* sort = object_member(body, "sort");
  std::string_view field = sort ? string_member(*sort, "field", "created_at") : "created_at";
  if (field != "created_at" || (sort && string_member(*sort, "direction", "desc") != "desc"))
    return validation_error("sort_field", {"body", "sort"}, "tasks are listed by created_at, newest first");
  return out;
}

struct FoundTasks {
  json::array shown;
  uint64_t total = 0;
};

Result<FoundTasks> list_directly(const Dependencies& deps, Selection& selection, const PageRequest& page) {
  FoundTasks out;
  selection.query.offset = page.offset;
  selection.query.limit = page.limit;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto tasks, session.list_tasks(selection.query, &out.total));
    for (const Task& task : tasks) out.shown.push_back(show_task(task));
    return Ok{};
  }));
  return out;
}

// Filters look at the newest 10,000 tasks.
Result<FoundTasks> scan(const Dependencies& deps, Selection& selection, const PageRequest& page) {
  FoundTasks out;
  selection.query.limit = kScanPage;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    for (selection.query.offset = 0; selection.query.offset < kMaxScanned; selection.query.offset += kScanPage) {
      QUARRY_ASSIGN_OR_RETURN(auto tasks, session.list_tasks(selection.query, nullptr));
      for (const Task& task : tasks) {
        json::object shown = show_task(task);
        if (!selection.takes(shown)) continue;
        if (out.total >= page.offset && out.shown.size() < page.limit) out.shown.push_back(std::move(shown));
        ++out.total;
      }
      if (tasks.size() < kScanPage) break;
    }
    return Ok{};
  }));
  return out;
}

Result<Reply> list_tasks(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(PageRequest page, parse_page(request));
  QUARRY_ASSIGN_OR_RETURN(Selection selection, parse_selection(context, request.object()));
  QUARRY_ASSIGN_OR_RETURN(FoundTasks found, selection.needs_scan() ? scan(deps, selection, page) : list_directly(deps, selection, page));
  json::object reply;
  bool more = page.offset + found.shown.size() < found.total;
  reply["pagination"] = pagination(page, found.shown.size(), more, found.total, "");
  reply["results"] = std::move(found.shown);
  return Reply(std::move(reply));
}

// Ends a task: that of a batch by cancelling the batch.
Result<Reply> kill_task(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(Task task, find_task(context, deps, request.param("task_id")));
  if (is_terminal(task.status)) return bad_request(fmt::format("Task '{}' is {} already", task.task_id, to_string(task.status)));
  std::string batch_id(string_member(task.inputs, "batch_id"));
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    if (task.task_type == pipeline::kBatchTaskType && !batch_id.empty())
      return pipeline::cancel_batch(session, namespace_scope(context), batch_id, context.clock->now_us());
    return session.request_cancel(task.task_id);
  }));
  if (deps.engine) deps.engine->notify();
  return Reply(json::object{{"success", true}, {"message", fmt::format("Task '{}' is being ended", task.task_id)}});
}

}  // namespace

json::object show_task(const Task& task) {
  json::object out{{"task_id", task.task_id}, {"task_type", task.task_type}, {"status", to_string(task.status)}};
  json::object inputs = task.inputs;
  inputs.erase("internal_id");
  inputs.erase("worker_notes");
  out["inputs"] = json::array{std::move(inputs)};
  out["outputs"] = json::array{};
  out["additional_data"] = task.additional_data;
  if (!task.error.empty()) out["error"] = task.error;
  out["created_at"] = format_timestamp(task.created_at);
  out["updated_at"] = format_timestamp(task.updated_at);
  return out;
}

void bind_tasks(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "get_task", get_task);
  bind_operation(table, deps, "list_tasks", list_tasks);
  bind_operation(table, deps, "kill_task", kill_task);
}

}  // namespace quarry::service
