// The operations of a transaction in SQL that both engines speak. Private to this folder.
#pragma once

#include <functional>
#include <optional>

#include "catalog/catalog.h"
#include "catalog/sql_connection.h"
#include "catalog/sql_dialect.h"

namespace quarry::catalog {

// Invariant: after the database has failed once, every further call returns that failure; the transaction can only be rolled back.
class SqlSession : public Session {
 public:
  SqlSession(SqlConnection& connection, const Dialect& dialect, const Clock& clock) : db_(connection), dialect_(dialect), clock_(clock) {}

  Status insert(const Resource& resource) override;
  Result<Resource> get(std::string_view kind, const Scope& scope, std::string_view id) override;
  Result<Resource> find(std::string_view kind, const Scope& scope, std::string_view id_or_name,
                        std::optional<std::string_view> parent_id) override;
  Result<Resource> get_any(std::string_view kind, std::string_view id) override;
  Status replace(const Resource& resource) override;
  Status remove(std::string_view kind, const Scope& scope, std::string_view id) override;
  Status remove_children(std::string_view kind, const Scope& scope, std::string_view parent_id) override;
  Status keep_newest(std::string_view kind, const Scope& scope, std::string_view parent_id, size_t count) override;
  Result<ResourcePage> list(const ListQuery& query) override;
  Result<uint64_t> count(const ListQuery& query) override;

  Status enqueue(const Task& task) override;
  Result<Task> get_task(const Scope& scope, std::string_view task_id) override;
  Result<Task> get_task_any(std::string_view task_id) override;
  Result<std::vector<Task>> list_tasks(const TaskQuery& query, uint64_t* total) override;
  Result<std::optional<Task>> claim(std::string_view owner, const std::vector<std::string>& types, int64_t lease_us,
                                    TimestampUs now) override;
  Result<Task> extend_lease(std::string_view task_id, std::string_view owner, int64_t lease_us, TimestampUs now) override;
  Result<uint64_t> release_leases() override;
  Status update_task(const Task& task) override;
  Status request_cancel(std::string_view task_id) override;
  Status remove_tasks(const Scope& scope) override;

  Status add_items(std::string_view task_id, const std::vector<std::string>& item_ids) override;
  Result<std::vector<WorkItem>> list_items(std::string_view task_id, std::optional<ItemStatus> status, size_t offset,
                                           size_t limit) override;
  Status finish_items(std::string_view task_id, const std::vector<WorkItem>& items) override;
  Status reset_items(std::string_view task_id, ItemStatus from) override;
  Result<ItemCounts> count_items(std::string_view task_id) override;

  // Which kinds of resources it wrote, as bits of kind_bit().
  uint64_t written_kinds() const { return written_kinds_; }
  // What the database failed with, if it did.
  const std::optional<SqlFailure>& failure() const { return failure_; }

 private:
  // Runs `body`; turns what it throws into an error and keeps it.
  template <typename Body>
  auto guarded(Body&& body) -> decltype(body()) {
    if (failure_) return failure_->error;
    try {
      return body();
    } catch (const std::exception& e) {
      failure_ = dialect_.classify(e);
      return failure_->error;
    }
  }

  Result<std::vector<Resource>> select(const std::string& where_and_order, SqlValues parameters);
  Result<Resource> select_one(const std::string& where, SqlValues parameters, Error absent);
  bool name_is_taken(const Resource& resource);
  Status scan(const ListQuery& query, const std::function<bool(Resource)>& visit);
  Result<ResourcePage> list_directly(const ListQuery& query);
  Result<ResourcePage> list_filtered(const ListQuery& query);
  Result<std::vector<Task>> select_tasks(const std::string& where_and_order, SqlValues parameters);
  Result<Task> select_task(const std::string& where, SqlValues parameters, std::string_view task_id);
  uint64_t count_where(const std::string& table, const std::string& where, SqlValues parameters);

  SqlConnection& db_;
  const Dialect& dialect_;
  const Clock& clock_;
  std::optional<SqlFailure> failure_;
  uint64_t written_kinds_ = 0;
};

// 0 to 63; kinds may share one.
inline size_t kind_bit(std::string_view kind) { return std::hash<std::string_view>{}(kind) % 64; }

// No NUL and valid UTF-8: what both engines store and compare exactly.
bool is_storable(std::string_view text);
std::string storable(std::string_view text);  // the rest replaced by '?'
// The text of a body; kBadRequest if it could not be read back: not UTF-8, or nested too deep.
Result<std::string> body_text(const json::object& body);
// kCorruption naming `what` if `text` is not a JSON object.
Result<json::object> parse_body(const std::string& text, std::string_view what);

}  // namespace quarry::catalog
