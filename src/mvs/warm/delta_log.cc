// Keys under <prefix>/_delta_log/: <version, 20 digits>.json, <version>.checkpoint.parquet (or .checkpoint.<part>.<parts>.parquet, written
// by others), _last_checkpoint = {"version": v, "size": actions}.
#include "mvs/warm/delta_log.h"

#include <arrow/buffer.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "mvs/warm/checkpoint.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

constexpr size_t kListPage = 1000;
constexpr int kPutAttempts = 5;

std::optional<int64_t> leading_version(std::string_view name) {
  if (name.size() < 20) return std::nullopt;
  int64_t version = 0;
  const auto [end, ec] = std::from_chars(name.data(), name.data() + 20, version);
  if (ec != std::errc() || end != name.data() + 20) return std::nullopt;
  return version;
}

// The checkpoint files of one version as they are listed.
class CheckpointParts {
 public:
  // `suffix` is what follows the version in the file's name: ".checkpoint.parquet" or ".checkpoint.<part>.<parts>.parquet".
  void add(std::string_view suffix, const std::string& key) {
    if (suffix == ".checkpoint.parquet") {
      single_ = {key};
      return;
    }
    constexpr size_t kDigits = 10;
    constexpr std::string_view kStart = ".checkpoint.", kEnd = ".parquet";
    if (suffix.size() != kStart.size() + kDigits + 1 + kDigits + kEnd.size() || !suffix.starts_with(kStart) || !suffix.ends_with(kEnd))
      return;  // another kind of checkpoint, which the protocol check refuses
    uint32_t parts = 0;
    const char* digits = suffix.data() + kStart.size() + kDigits + 1;
    const auto [end, ec] = std::from_chars(digits, digits + kDigits, parts);
    if (ec == std::errc() && end == digits + kDigits) parts_[parts].push_back(key);
  }

  // The keys of a checkpoint that has all of its parts; empty: there is none.
  std::vector<std::string> complete() const {
    if (!single_.empty()) return single_;
    for (const auto& [count, keys] : parts_)
      if (keys.size() == count) return keys;
    return {};
  }

 private:
  std::vector<std::string> single_;
  std::map<uint32_t, std::vector<std::string>> parts_;  // by how many there should be
};

}  // namespace

DeltaLog::DeltaLog(objects::ObjectStore& store, std::string prefix) : store_(store), folder_(std::move(prefix) + "/_delta_log/") {}

std::string DeltaLog::commit_key(int64_t version) const { return fmt::format("{}{:020}.json", folder_, version); }
std::string DeltaLog::checkpoint_key(int64_t version) const { return fmt::format("{}{:020}.checkpoint.parquet", folder_, version); }

DeltaLog::Listing DeltaLog::sort_out(const std::vector<objects::ObjectInfo>& objects) const {
  Listing out;
  std::map<int64_t, CheckpointParts> checkpoints;
  for (const auto& object : objects) {
    const auto name = std::string_view(object.key).substr(folder_.size());
    const auto v = leading_version(name);
    if (!v) continue;
    const auto suffix = name.substr(20);
    if (suffix == ".json")
      out.commits.insert(*v);
    else if (suffix.starts_with(".checkpoint."))
      checkpoints[*v].add(suffix, object.key);
  }
  for (const auto& [v, parts] : checkpoints)
    if (auto keys = parts.complete(); !keys.empty()) out.checkpoints[v] = std::move(keys);
  return out;
}

Result<DeltaLog::Listing> DeltaLog::list_from(int64_t version) const {
  std::vector<objects::ObjectInfo> objects;
  std::string after = version > 0 ? fmt::format("{}{:020}", folder_, version) : folder_;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, store_.list(folder_, after, kListPage));
    objects.insert(objects.end(), page.begin(), page.end());
    if (page.size() < kListPage) return sort_out(objects);
    after = page.back().key;
  }
}

Result<int64_t> DeltaLog::last_checkpoint() const {
  QUARRY_ASSIGN_OR_RETURN(const CheckpointHint found, hint());
  return found.version;
}

Result<bool> DeltaLog::is_newest(int64_t version, Executor* io) const {
  Result<std::vector<LoggedCommit>> commits = std::vector<LoggedCommit>();
  Result<int64_t> checkpoint = int64_t{-1};
  parallel_for(io, 2, [&](size_t i) {
    if (i == 0)
      commits = read_after(version);
    else
      checkpoint = last_checkpoint();
  });
  QUARRY_RETURN_IF_ERROR(commits);
  QUARRY_RETURN_IF_ERROR(checkpoint);
  return commits->empty() && *checkpoint <= version;
}

Result<CheckpointHint> DeltaLog::hint() const {
  const auto text = store_.get(folder_ + "_last_checkpoint");
  if (text.ok()) return parse_checkpoint_hint(*text);
  if (text.error().kind == ErrorKind::kNotFound) return CheckpointHint{};
  return text.error();
}

Result<bool> DeltaLog::matches_hint(std::string_view key, std::string_view bytes) const {
  QUARRY_ASSIGN_OR_RETURN(const CheckpointHint found, hint());
  return !found.crc || key != checkpoint_key(found.version) || crc32c(bytes) == *found.crc;
}

Result<LogState> DeltaLog::load(Executor* io) const {
  // Another process may clean the log while it is read: what was listed is gone then, and a newer checkpoint is there.
  int64_t newest = -2;  // older than a log without checkpoints
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(const Listing listing, list_newest(io));
    if (listing.commits.empty() && listing.checkpoints.empty()) return not_found(fmt::format("no Delta table at {}", folder_));
    auto state = load_newest(listing, io);
    if (state.ok()) return state;
    if (listing.newest_checkpoint() > newest) {
      newest = listing.newest_checkpoint();
      continue;
    }
    auto older = load_older(newest, io);
    if (older.ok()) return older;
    QUARRY_ASSIGN_OR_RETURN(const Listing now, list_from(0));
    if (now.newest_checkpoint() <= newest) return state;
  }
}

// A checkpoint does not tell of stale rewrites before it (LogState). Quarry makes none while there are any; behind another program's, the
// entries that are left are read again.
Result<LogState> DeltaLog::load_newest(const Listing& listing, Executor* io) const {
  const int64_t checkpoint = listing.newest_checkpoint();
  if (checkpoint >= 0 && !(listing.hint.version == checkpoint && listing.hint.crc)) {
    QUARRY_ASSIGN_OR_RETURN(const Listing all, list_from(0));
    const bool from_the_beginning = all.commits.contains(0) || all.checkpoints.empty();
    if (auto state = replay(all, from_the_beginning ? -1 : all.checkpoints.begin()->first, io); state.ok()) return state;
  }
  return replay(listing, checkpoint, io);
}

// From the newest checkpoint on, as far as _last_checkpoint tells. A log that one page lists whole is listed beside asking for that.
Result<DeltaLog::Listing> DeltaLog::list_newest(Executor* io) const {
  Result<CheckpointHint> found = CheckpointHint{};
  Result<std::vector<objects::ObjectInfo>> page = std::vector<objects::ObjectInfo>();
  parallel_for(io, io != nullptr ? 2 : 1, [&](size_t i) {
    if (i == 0)
      found = hint();
    else
      page = store_.list(folder_, folder_, kListPage);
  });
  QUARRY_RETURN_IF_ERROR(found);
  QUARRY_RETURN_IF_ERROR(page);
  Listing listing;
  if (io != nullptr && page->size() < kListPage) {
    listing = sort_out(*page);
  } else {
    QUARRY_ASSIGN_OR_RETURN(listing, list_from(found->version));
    if (found->version > 0 && !listing.checkpoints.contains(found->version)) return list_from(0);
  }
  listing.hint = *found;
  return listing;
}

// The checkpoint at `newest` is unreadable: an older one, or the log from its beginning, may still do.
Result<LogState> DeltaLog::load_older(int64_t newest, Executor* io) const {
  QUARRY_ASSIGN_OR_RETURN(const Listing all, list_from(0));
  for (auto it = all.checkpoints.rbegin(); it != all.checkpoints.rend(); ++it) {
    if (it->first >= newest) continue;
    if (auto older = replay(all, it->first, io); older.ok()) return older;
  }
  return replay(all, -1, io);
}

Result<LogState> DeltaLog::replay(const Listing& listing, int64_t checkpoint, Executor* io) const {
  const std::vector<int64_t> versions(listing.commits.upper_bound(checkpoint), listing.commits.end());
  for (size_t i = 0; i < versions.size(); ++i)
    if (versions[i] != checkpoint + 1 + int64_t(i)) return corruption(fmt::format("{} is missing", commit_key(checkpoint + 1 + int64_t(i))));
  Result<LogState> state = LogState{};
  std::vector<Result<std::vector<Action>>> commits(versions.size(), std::vector<Action>());
  parallel_for(io, 1 + versions.size(), [&](size_t i) {
    if (i > 0)
      commits[i - 1] = read(versions[i - 1]);
    else if (checkpoint >= 0)
      state = load_checkpoint(checkpoint, listing.checkpoints.at(checkpoint), listing.hint);
  });
  QUARRY_RETURN_IF_ERROR(state);
  for (size_t i = 0; i < versions.size(); ++i) {
    if (!commits[i].ok() && commits[i].error().kind == ErrorKind::kNotFound)
      return corruption(fmt::format("{} is missing", commit_key(versions[i])));
    QUARRY_RETURN_IF_ERROR(commits[i]);
    state->apply(*commits[i], versions[i]);
  }
  if (state->metadata.schema_string.empty()) return corruption(fmt::format("the log at {} has no metaData", folder_));
  return state;
}

Result<LogState> DeltaLog::load_checkpoint(int64_t version, const std::vector<std::string>& keys, const CheckpointHint& hint) const {
  LogState state;
  state.checkpoint = version;
  for (const auto& key : keys) {
    QUARRY_ASSIGN_OR_RETURN(std::string bytes, store_.get(key));
    QUARRY_RETURN_IF_ERROR(apply_part(state, version, key, std::move(bytes), hint));
  }
  return state;
}

// A checkpoint's file of which `bytes` were read. kCorruption: it is damaged.
Status DeltaLog::apply_part(LogState& state, int64_t version, const std::string& key, std::string bytes, const CheckpointHint& hint) const {
  if (key == checkpoint_key(version) && hint.version == version && hint.crc && crc32c(bytes) != *hint.crc)
    return corruption(fmt::format("{}: the CRC-32C of its {} bytes is not the one in _last_checkpoint", key, bytes.size()));
  QUARRY_ASSIGN_OR_RETURN(const auto actions, decode_checkpoint(arrow::Buffer::FromString(std::move(bytes)), key));
  state.apply_checkpoint(actions, version);
  return Ok{};
}

Result<std::vector<Action>> DeltaLog::read(int64_t version) const {
  const std::string key = commit_key(version);
  QUARRY_ASSIGN_OR_RETURN(const std::string text, store_.get(key));
  return decode_commit(text, key);
}

Result<std::vector<LoggedCommit>> DeltaLog::read_after(int64_t version) const {
  std::vector<LoggedCommit> out;
  for (int64_t v = version + 1;; ++v) {
    auto actions = read(v);
    if (!actions.ok() && actions.error().kind == ErrorKind::kNotFound) return out;
    if (!actions.ok()) return std::move(actions).error();
    out.push_back({v, std::move(actions).value()});
  }
}

Result<PutOutcome> DeltaLog::put(int64_t version, const std::string& text) const {
  const std::string key = commit_key(version);
  Error last;
  for (int attempt = 0; attempt < kPutAttempts; ++attempt) {
    auto put = store_.put_if_absent(key, text);
    if (put.ok()) return PutOutcome::kCommitted;
    last = std::move(put).error();
    if (last.kind != ErrorKind::kStorage && last.kind != ErrorKind::kAlreadyExists) return last;
    auto there = store_.get(key);
    if (there.ok()) return *there == text ? PutOutcome::kCommitted : PutOutcome::kLost;
    if (there.error().kind != ErrorKind::kNotFound) last = std::move(there).error();
  }
  return std::move(last).with_context(fmt::format("committing {}", key));
}

Status DeltaLog::write_checkpoint(const LogState& state) const {
  QUARRY_ASSIGN_OR_RETURN(const CheckpointHint known, hint());
  if (known.is_sound && known.version > state.version) return Ok{};  // entries below that one may be gone: the hint does not go back
  const auto actions = state.to_actions();
  QUARRY_ASSIGN_OR_RETURN(const auto bytes, encode_checkpoint(actions));
  const std::string key = checkpoint_key(state.version);
  const auto put_hint = [&] {
    return store_.put(folder_ + "_last_checkpoint", encode_checkpoint_hint(state.version, actions.size(), crc32c(view(*bytes))));
  };
  if (auto put = store_.put_if_absent(key, view(*bytes)); !put.ok()) {
    if (put.error().kind != ErrorKind::kAlreadyExists) return put;
    // Never over another one: between its bytes and the hint's checksum there would be a moment in which they speak against each other.
    QUARRY_ASSIGN_OR_RETURN(std::string there, store_.get(key));
    if (there != view(*bytes)) {
      LogState theirs;
      const Status read = apply_part(theirs, state.version, key, std::move(there), known);
      if (read.ok()) return Ok{};
      if (read.error().kind != ErrorKind::kCorruption) return read;
      // That one is damaged. A hint that speaks of it goes first, or whoever dies in between leaves bytes that it speaks against.
      if (known.version == state.version) QUARRY_RETURN_IF_ERROR(put_hint());
      QUARRY_RETURN_IF_ERROR(store_.put(key, view(*bytes)));
    }
  }
  return put_hint();
}

Status DeltaLog::clean(TimestampUs before_us) const {
  QUARRY_ASSIGN_OR_RETURN(const int64_t checkpoint, last_checkpoint());
  if (checkpoint <= 0) return Ok{};
  std::string after = folder_;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(const auto page, store_.list(folder_, after, kListPage));
    for (const auto& object : page) {
      const auto version = leading_version(std::string_view(object.key).substr(folder_.size()));
      // Ascending by version: the rest is newer.
      if (!version) continue;
      if (*version >= checkpoint || object.modified_at >= before_us) return Ok{};
      QUARRY_RETURN_IF_ERROR(store_.remove(object.key));
    }
    if (page.size() < kListPage) return Ok{};
    after = page.back().key;
  }
}

}  // namespace quarry::mvs
