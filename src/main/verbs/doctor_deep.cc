#include <fmt/format.h>

#include <cstdio>
#include <map>

#include "base/hash.h"
#include "main/data_folder.h"
#include "main/object_storage.h"
#include "main/server_app.h"
#include "main/verbs/verbs.h"
#include "model/collection.h"
#include "mvs/table_check.h"
#include "pipeline/pipeline.h"

namespace quarry::verbs {
namespace {

namespace fs = std::filesystem;
namespace kind = catalog::kind;

struct Table {
  std::string title;                     // "namespace/collection (id)"
  std::string prefix;                    // of its keys
  std::string collection_id, snapshots;  // where copies of its files may lie: the namespace's snapshots
};

// What the catalog says should be there.
struct Inventory {
  std::vector<Table> tables;
  std::vector<std::string> retired;     // prefixes of tables that a restore replaced, still to be dropped
  std::vector<std::string> namespaces;  // key prefixes, with the trailing '/'
};

Status for_each(catalog::Catalog& catalog, std::string_view of, const catalog::Scope& scope,
                const std::function<Status(const catalog::Resource&)>& visit) {
  catalog::ListQuery query;
  query.kind = of;
  query.scope = scope;
  query.sort = catalog::SortKey::kId;
  query.descending = false;
  query.limit = 1'000;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(const auto page, catalog.list(query));
    for (const auto& row : page.items) QUARRY_RETURN_IF_ERROR(visit(row));
    if (!page.has_more || page.items.empty()) return Ok{};
    query.after = page.last;
  }
}

Result<Inventory> read_inventory(catalog::Catalog& catalog) {
  Inventory out;
  const auto take_namespace = [&](const std::string& internal_id, const catalog::Resource& ns) -> Status {
    const catalog::Scope scope{ns.organization_id, ns.id};
    out.namespaces.push_back(fmt::format("{}/{}/", internal_id, ns.id));
    QUARRY_RETURN_IF_ERROR(for_each(catalog, kind::kRetiredTable, scope, [&](const catalog::Resource& row) -> Status {
      out.retired.push_back(pipeline::table_prefix(internal_id, ns.id, row.id));
      return Ok{};
    }));
    return for_each(catalog, kind::kCollection, scope, [&](const catalog::Resource& row) -> Status {
      QUARRY_ASSIGN_OR_RETURN(const Collection collection, parse_collection(row.body, ns.organization_id, ns.id));
      if (collection.lifecycle == LifecycleState::kArchived) return Ok{};
      out.tables.push_back({fmt::format("{}/{} ({})", ns.name, collection.name, collection.collection_id),
                            pipeline::table_prefix(internal_id, ns.id, collection.table_id()), collection.collection_id,
                            fmt::format("{}/{}/snapshots/", internal_id, ns.id)});
      return Ok{};
    });
  };
  QUARRY_RETURN_IF_ERROR(for_each(catalog, kind::kOrganization, {}, [&](const catalog::Resource& organization) {
    const json::value* internal_id = organization.body.if_contains("internal_id");
    const std::string id(internal_id != nullptr && internal_id->is_string() ? internal_id->get_string() : json::string());
    return for_each(catalog, kind::kNamespace, {organization.id, ""}, [&](const catalog::Resource& ns) { return take_namespace(id, ns); });
  }));
  return out;
}

// Checks, and repairs where that cannot lose anything.
class DeepCheck {
 public:
  DeepCheck(objects::ObjectStore& store, fs::path local, bool repair) : store_(store), local_(std::move(local)), repair_(repair) {}

  Result<int> run(const Inventory& inventory) {
    for (const Table& table : inventory.tables) QUARRY_RETURN_IF_ERROR(check_table(table));
    check_local(inventory);
    QUARRY_RETURN_IF_ERROR(look_for_strangers(inventory));
    if (left_ == 0 && repaired_ == 0) std::printf("no damage in %zu tables\n", inventory.tables.size());
    if (repaired_ > 0) std::printf("%d repaired\n", repaired_);
    if (left_ > 0) std::printf("%d left%s\n", left_, repair_ ? "" : ": --repair makes again what can be made again");
    return left_ == 0 ? 0 : 1;
  }

 private:
  Status check_table(const Table& table) {
    QUARRY_ASSIGN_OR_RETURN(const auto check, mvs::check_table(store_, table.prefix));
    std::printf("%s  %s: version %lld, %llu documents, %llu files, %llu bytes\n", check.faults.empty() ? "ok     " : "DAMAGED",
                table.title.c_str(), static_cast<long long>(check.version), static_cast<unsigned long long>(check.documents),
                static_cast<unsigned long long>(check.files), static_cast<unsigned long long>(check.bytes));
    for (const mvs::FileFault& fault : check.faults) {
      std::string repaired;
      if (repair_ && fault.is_derived) {
        if (!fault.refers_to_it.empty()) QUARRY_RETURN_IF_ERROR(store_.remove(fault.refers_to_it));
        QUARRY_RETURN_IF_ERROR(store_.remove(fault.file));
        repaired = "removed; it is made again";
      } else if (repair_ && fault.crc) {
        QUARRY_ASSIGN_OR_RETURN(repaired, put_back(table, fault));
      }
      tell(fault, repaired);
    }
    return Ok{};
  }

  // A snapshot may have the same file: its checksum says so. The damaged bytes are kept aside.
  Result<std::string> put_back(const Table& table, const mvs::FileFault& fault) {
    const std::string path = fault.file.substr(table.prefix.size() + 1), ending = fmt::format("/tables/{}/{}", table.collection_id, path);
    std::string found;
    QUARRY_RETURN_IF_ERROR(store_.walk(table.snapshots, [&](const objects::ObjectInfo& info) -> Result<bool> {
      if (!info.key.ends_with(ending)) return true;
      QUARRY_ASSIGN_OR_RETURN(const std::string bytes, store_.get(info.key));
      if (crc32c(bytes) != *fault.crc) return true;
      auto damaged = store_.get(fault.file);
      if (damaged.ok()) QUARRY_RETURN_IF_ERROR(store_.put(fmt::format("{}/_quarry/damaged/{}", table.prefix, path), *damaged));
      QUARRY_RETURN_IF_ERROR(store_.put(fault.file, bytes));
      found = info.key;
      return false;
    }));
    return found.empty() ? std::string() : "put back from " + found;
  }

  void check_local(const Inventory& inventory) {
    std::vector<std::string> prefixes = inventory.retired;
    for (const Table& table : inventory.tables) prefixes.push_back(table.prefix);
    for (const mvs::FileFault& fault : mvs::check_local_files(local_, prefixes)) {
      std::error_code error;
      if (repair_) fs::remove_all(fault.file, error);
      tell(fault, repair_ && !error ? "removed; the server makes it again from the table if it is needed" : "");
    }
  }

  // Tables that no collection has. They may be another catalog's, so they are only named.
  Status look_for_strangers(const Inventory& inventory) {
    std::map<std::string, bool> known;
    for (const Table& table : inventory.tables) known[table.prefix] = true;
    for (const std::string& prefix : inventory.retired) known[prefix] = true;
    for (const std::string& ns : inventory.namespaces)
      QUARRY_RETURN_IF_ERROR(store_.walk(ns, [&](const objects::ObjectInfo& info) -> Result<bool> {
        const size_t end = info.key.find('/', ns.size());
        const bool is_log = end != std::string::npos && info.key.compare(end, 12, "/_delta_log/") == 0;
        if (is_log && known.emplace(info.key.substr(0, end), true).second)
          std::printf("note     %s: a table that belongs to no collection\n", info.key.substr(0, end).c_str());
        return true;
      }));
    return Ok{};
  }

  void tell(const mvs::FileFault& fault, const std::string& repaired) {
    const std::string at = fault.offset ? fmt::format(" at offset {}", *fault.offset) : "";
    std::printf("         %s%s: %s\n", fault.file.c_str(), at.c_str(), fault.what.c_str());
    if (!repaired.empty()) std::printf("                      -> %s\n", repaired.c_str());
    ++(repaired.empty() ? left_ : repaired_);
  }

  objects::ObjectStore& store_;
  const fs::path local_;
  const bool repair_;
  int left_ = 0, repaired_ = 0;
};

Result<int> check(const Config& config, bool repair) {
  QUARRY_ASSIGN_OR_RETURN(const int format, read_format(config.path("data")));
  if (format == 0) return not_found(fmt::format("{} is no Quarry data folder", config.path("data").string()));
  QUARRY_ASSIGN_OR_RETURN(DataFolder folder, DataFolder::open(config.path("data")));
  QUARRY_ASSIGN_OR_RETURN(auto catalog, open_catalog(config, folder));
  QUARRY_ASSIGN_OR_RETURN(auto storage, ObjectStorage::open(config, folder));
  QUARRY_ASSIGN_OR_RETURN(const Inventory inventory, read_inventory(*catalog));
  return DeepCheck(storage->store(), folder.local_tables(), repair).run(inventory);
}

}  // namespace

int doctor_deep(const Config& config, bool repair) {
  auto checked = check(config, repair);
  return checked.ok() ? *checked : fail(checked.error());
}

}  // namespace quarry::verbs
