#include "mvs/warm/log_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace quarry::mvs {
namespace {

std::string dv_key(const std::string& path, const std::optional<DeletionVectorRef>& dv) {
  if (!dv) return path;
  return fmt::format("{}\n{}{}@{}", path, dv->storage_type, dv->path_or_inline, dv->offset.value_or(-1));
}

bool changes_data(const Action& action) {
  if (const auto* add = std::get_if<AddFile>(&action)) return add->data_change;
  if (const auto* remove = std::get_if<RemoveFile>(&action)) return remove->data_change;
  return std::holds_alternative<Metadata>(action);
}

bool is_quarrys(const std::vector<Action>& actions) {
  return std::any_of(actions.begin(), actions.end(), [](const Action& action) {
    const auto* info = std::get_if<CommitInfo>(&action);
    const auto* engine = info != nullptr ? info->fields.if_contains("engineInfo") : nullptr;
    return engine != nullptr && engine->is_string() && engine->get_string() == "Quarry";
  });
}

bool has_path(const std::vector<std::shared_ptr<const AddFile>>& files, const std::string& path) {
  return std::any_of(files.begin(), files.end(), [&](const auto& file) { return file->path == path; });
}

}  // namespace

std::shared_ptr<const AddFile> LogState::find(const std::string& path, const std::optional<DeletionVectorRef>& dv) const {
  const auto it = files.find(path);
  if (it != files.end() && it->second->deletion_vector == dv) return it->second;
  const auto hidden = shadowed.find(dv_key(path, dv));
  return hidden != shadowed.end() ? hidden->second : nullptr;
}

bool LogState::is_from_stale_rewrite(const std::string& path) const {
  return std::any_of(stale_rewrites.begin(), stale_rewrites.end(), [&](const StaleRewrite& r) { return has_path(r.added, path); });
}

// Before `actions` are applied. Quarry commits on top of what is there: if an entry of its own removes what is not, one before it was
// overwritten, which is another repair's. Nor do rows of its own writes come from files that it removes.
void LogState::note_rewrite(const std::vector<Action>& actions, int64_t new_version) {
  StaleRewrite out{.version = new_version};
  bool moves_stale_rows = false;
  for (const Action& action : actions) {
    if (const auto* add = std::get_if<AddFile>(&action)) {
      if (!files.contains(add->path)) out.added.push_back(std::make_shared<const AddFile>(*add));  // else it moves no rows
    } else if (const auto* remove = std::get_if<RemoveFile>(&action)) {
      if (auto source = find(remove->path, remove->deletion_vector)) {
        moves_stale_rows = moves_stale_rows || is_from_stale_rewrite(remove->path);
        out.sources.push_back(std::move(source));
      } else {
        const bool is_known = tombstones.contains(dv_key(remove->path, remove->deletion_vector));
        out.gone = std::max(out.gone, is_known ? StaleRewrite::Gone::kRemoved : StaleRewrite::Gone::kUnknown);
      }
    }
    out.changes_data = out.changes_data || mvs::changes_data(action);
  }
  if (out.added.empty()) return;
  const bool is_ours = is_quarrys(actions);
  if (is_ours || out.changes_data) out.gone = StaleRewrite::Gone::kNone;
  if (is_ours && out.changes_data) moves_stale_rows = false;
  if (out.gone != StaleRewrite::Gone::kNone || moves_stale_rows) stale_rewrites.push_back(std::move(out));
}

void LogState::apply(const std::vector<Action>& actions, int64_t new_version) {
  note_rewrite(actions, new_version);
  apply_checkpoint(actions, new_version);
  const auto settled = transactions.find(std::string(kStaleRowsApp));
  if (settled != transactions.end())
    std::erase_if(stale_rewrites, [&](const StaleRewrite& r) { return r.version <= settled->second.version; });
}

void LogState::apply_checkpoint(const std::vector<Action>& actions, int64_t new_version) {
  if (data_version < 0 || std::any_of(actions.begin(), actions.end(), changes_data)) data_version = new_version;
  for (const auto& action : actions)
    if (const auto* remove = std::get_if<RemoveFile>(&action)) {
      const auto it = files.find(remove->path);
      if (it != files.end() && it->second->deletion_vector == remove->deletion_vector) files.erase(it);
      shadowed.erase(dv_key(remove->path, remove->deletion_vector));
      tombstones[dv_key(remove->path, remove->deletion_vector)] = *remove;
    }
  for (const auto& action : actions) {
    if (const auto* add = std::get_if<AddFile>(&action)) {
      tombstones.erase(dv_key(add->path, add->deletion_vector));
      auto& file = files[add->path];
      if (file != nullptr && file->deletion_vector != add->deletion_vector) shadowed[dv_key(file->path, file->deletion_vector)] = file;
      file = std::make_shared<const AddFile>(*add);
    } else if (const auto* m = std::get_if<Metadata>(&action)) {
      metadata = *m;
    } else if (const auto* p = std::get_if<Protocol>(&action)) {
      protocol = *p;
    } else if (const auto* t = std::get_if<SetTransaction>(&action)) {
      transactions[t->app_id] = *t;
    }
  }
  version = new_version;
}

std::vector<Action> LogState::to_actions() const {
  std::vector<Action> out{protocol, metadata};
  for (const auto& [app, txn] : transactions) out.emplace_back(txn);
  for (const auto& [key, tombstone] : tombstones) {
    out.emplace_back(tombstone);
    std::get<RemoveFile>(out.back()).data_change = false;
  }
  for (const auto& [path, file] : files) {
    out.emplace_back(*file);
    std::get<AddFile>(out.back()).data_change = false;
  }
  return out;
}

}  // namespace quarry::mvs
