// Resources, tasks, leases and work items behind one interface; SQLite in the embedded size, PostgreSQL beyond one machine.
// The catalog holds nothing about documents that the tables cannot rebuild.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/filter.h"
#include "model/task.h"

namespace quarry::catalog {

// Kinds in use; a new one needs no change of the schema.
namespace kind {
inline constexpr std::string_view kOrganization = "organization", kUser = "user", kApiKey = "api_key", kNamespace = "namespace",
                                  kBucket = "bucket", kObject = "object", kUpload = "upload", kBatch = "batch", kCollection = "collection",
                                  kRetriever = "retriever", kExecution = "execution", kLifecycleEvent = "lifecycle_event",
                                  kSnapshot = "snapshot", kRetiredTable = "retired_table", kQueryTime = "query_time";
}

// A resource: indexed columns beside a JSON body, which is what the API shows (less what the service hides).
struct Resource {
  std::string kind;
  std::string id;
  std::string organization_id;  // empty only for organizations' own lookups by key hash
  std::string namespace_id;     // empty outside namespaces
  std::string parent_id;        // a bucket's objects, a retriever's executions; else empty
  std::string name;             // unique within (kind, organization, namespace, parent) unless empty
  json::object body;
  TimestampUs created_at = 0;
  TimestampUs updated_at = 0;
  int64_t revision = 0;  // +1 per update
};

// Every lookup is scoped: what belongs to another organization or namespace is absent.
struct Scope {
  std::string organization_id;
  std::string namespace_id;  // empty: resources outside namespaces
};

enum class SortKey { kCreatedAt, kUpdatedAt, kName, kId };

// A place in a list's order, right after a resource; as good when that resource is gone.
struct Position {
  std::string sort_value;  // what the list is sorted by
  std::string id;          // empty: before the first
};

struct ListQuery {
  std::string kind;
  Scope scope;
  bool all_namespaces = false;  // ignore scope.namespace_id
  std::optional<std::string> parent_id;
  std::string name_contains;  // case-insensitive; empty: all
  Filter filter;              // over the body; evaluated after the indexed parts
  SortKey sort = SortKey::kCreatedAt;
  bool descending = true;  // ties by id, same direction
  size_t offset = 0;
  size_t limit = 100;
  Position after;  // keyset page: strictly after this place
  bool with_total = false;
};

struct ResourcePage {
  std::vector<Resource> items;
  bool has_more = false;
  Position last;  // of the last item: where the next page begins
  std::optional<uint64_t> total;
};

// One unit of a task, usually an object of a batch.
enum class ItemStatus { kPending, kDone, kFailed, kSkipped };
struct WorkItem {
  std::string item_id;
  int64_t position = 0;
  ItemStatus status = ItemStatus::kPending;
  json::object outcome;  // what the worker that finished it has to tell
};
struct ItemCounts {
  uint64_t pending = 0, done = 0, failed = 0, skipped = 0;
  uint64_t total() const { return pending + done + failed + skipped; }
};

struct TaskQuery {
  Scope scope;
  std::vector<TaskStatus> statuses;  // empty: all
  std::string task_type;             // empty: all
  size_t offset = 0, limit = 100;
};

// The operations of one transaction. Not thread-safe; valid only inside the callback it was handed to.
class Session {
 public:
  virtual ~Session() = default;

  virtual Status insert(const Resource& resource) = 0;  // kAlreadyExists: id or name taken
  virtual Result<Resource> get(std::string_view kind, const Scope& scope, std::string_view id) = 0;
  // By id first, then by name. kBadRequest if several parents have one of that name and `parent_id` does not choose.
  virtual Result<Resource> find(std::string_view kind, const Scope& scope, std::string_view id_or_name,
                                std::optional<std::string_view> parent_id = std::nullopt) = 0;
  // Without scope: for the engine and for authentication only.
  virtual Result<Resource> get_any(std::string_view kind, std::string_view id) = 0;
  virtual Status replace(const Resource& resource) = 0;  // kConflict if revision moved; sets revision + 1
  virtual Status remove(std::string_view kind, const Scope& scope, std::string_view id) = 0;  // kNotFound if absent
  virtual Status remove_children(std::string_view kind, const Scope& scope, std::string_view parent_id) = 0;
  // Of a parent's resources of a kind all but the `count` newest are removed; of two made at once the greater id is the newer.
  virtual Status keep_newest(std::string_view kind, const Scope& scope, std::string_view parent_id, size_t count) = 0;
  virtual Result<ResourcePage> list(const ListQuery& query) = 0;
  virtual Result<uint64_t> count(const ListQuery& query) = 0;

  virtual Status enqueue(const Task& task) = 0;
  virtual Result<Task> get_task(const Scope& scope, std::string_view task_id) = 0;
  virtual Result<Task> get_task_any(std::string_view task_id) = 0;
  virtual Result<std::vector<Task>> list_tasks(const TaskQuery& query, uint64_t* total) = 0;
  // Takes the oldest task that is pending or queued, or whose lease has expired, of one of `types` (empty: all); marks it kProcessing,
  // owner, attempts + 1. Drafts and tasks that are over stay.
  virtual Result<std::optional<Task>> claim(std::string_view owner, const std::vector<std::string>& types, int64_t lease_us,
                                            TimestampUs now) = 0;
  // kConflict if `owner` no longer holds the lease. The returned task tells cancel_requested.
  virtual Result<Task> extend_lease(std::string_view task_id, std::string_view owner, int64_t lease_us, TimestampUs now) = 0;
  // Lets go of every lease of a running task, whoever holds it, so that the next claim takes it at once (attempts stay). Only for a process
  // that knows it is alone on this catalog: after a crash the dead process's leases would otherwise have to run out. Returns how many.
  virtual Result<uint64_t> release_leases() = 0;
  // The whole row but ids and created_at. kConflict unless the task is unclaimed (waiting, a draft, or without owner) or the stored owner
  // and attempts are those of `task`. A waiting status lets go of the lease. A cancel that was requested stays, unless the stored task is
  // over. `attempts` may go back to 0 while unclaimed.
  virtual Status update_task(const Task& task) = 0;
  virtual Status request_cancel(std::string_view task_id) = 0;
  // The scope's tasks and their work items. A worker that holds one finds it gone and stops.
  virtual Status remove_tasks(const Scope& scope) = 0;

  // Ids already there keep their place and become kPending again.
  virtual Status add_items(std::string_view task_id, const std::vector<std::string>& item_ids) = 0;
  virtual Result<std::vector<WorkItem>> list_items(std::string_view task_id, std::optional<ItemStatus> status, size_t offset,
                                                   size_t limit) = 0;
  virtual Status finish_items(std::string_view task_id, const std::vector<WorkItem>& items) = 0;
  virtual Status reset_items(std::string_view task_id, ItemStatus from) = 0;  // back to kPending
  virtual Result<ItemCounts> count_items(std::string_view task_id) = 0;
};

// Thread-safe. Transactions are serialisable; one that committed survives a power cut. A body must not call the catalog again: use its
// session. Errors besides those of the body: kStorage (details.reason "disk_full" when it is that), kCorruption naming the file,
// kUnavailable; an exception of a body rolls back and becomes kInternal.
class Catalog {
 public:
  virtual ~Catalog() = default;
  // Runs `body` in a write transaction: commits if it returns ok, else rolls back and returns its error. `body` may run again after a
  // serialisation failure, so it has no side effects outside the session.
  virtual Status write(const std::function<Status(Session&)>& body) = 0;
  // Runs `body` on one consistent snapshot.
  virtual Status read(const std::function<Status(Session&)>& body) = 0;
  virtual std::string describe() const = 0;
  // A number that another write of a resource of `kind` changes before it is acknowledged (writes of other kinds may, too). What was read
  // after asking for it is as good as new while it stays. Nothing where other processes may write.
  virtual std::optional<uint64_t> version(std::string_view /*kind*/) const { return std::nullopt; }

  // One-step forms.
  Result<Resource> get(std::string_view kind, const Scope& scope, std::string_view id);
  Result<Resource> find(std::string_view kind, const Scope& scope, std::string_view id_or_name);
  Status insert(const Resource& resource);
  Result<ResourcePage> list(const ListQuery& query);
  // Read, change, replace in one transaction; returns what was stored.
  Result<Resource> update(std::string_view kind, const Scope& scope, std::string_view id, const std::function<Status(Resource&)>& change);
};

// Opens or makes the file (WAL mode) and brings its schema up to date. Errors name the file.
Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::filesystem::path& file, const Clock& clock);
// `connection` is a libpq connection string; messages never repeat its password.
Result<std::unique_ptr<Catalog>> open_postgres_catalog(const std::string& connection, const Clock& clock);

}  // namespace quarry::catalog
