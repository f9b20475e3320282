#include "objects/power_cut_store.h"

namespace quarry::objects {

Status PowerCutStore::put(std::string_view key, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  QUARRY_RETURN_IF_ERROR(remember(key));
  return inner_.put(key, bytes);
}

Status PowerCutStore::put_if_absent(std::string_view key, std::string_view bytes) {
  std::lock_guard lock(mutex_);
  const bool is_new = !at_sync_.contains(key);
  QUARRY_RETURN_IF_ERROR(remember(key));
  Status status = inner_.put_if_absent(key, bytes);
  if (is_new && !status.ok() && status.error().kind == ErrorKind::kAlreadyExists) at_sync_.erase(std::string(key));  // nothing was written
  return status;
}

Status PowerCutStore::remove(std::string_view key) {
  std::lock_guard lock(mutex_);
  QUARRY_RETURN_IF_ERROR(remember(key));
  return inner_.remove(key);
}

void PowerCutStore::sync() {
  std::lock_guard lock(mutex_);
  at_sync_.clear();
}

Result<PowerCutStore::Losses> PowerCutStore::power_cut(Rng& rng) {
  std::lock_guard lock(mutex_);
  Losses losses;
  for (const auto& [key, before] : at_sync_) {
    auto now = inner_.get(key);
    if (!now.ok() && now.error().kind != ErrorKind::kNotFound) return std::move(now).error();
    const uint64_t fate = rng.below(3);
    if (fate == 0) {
      ++losses.kept;
    } else if (fate == 1 && now.ok() && !now->empty()) {
      QUARRY_RETURN_IF_ERROR(inner_.put(key, std::string_view(*now).substr(0, rng.below(now->size()))));
      ++losses.torn;
    } else {
      QUARRY_RETURN_IF_ERROR(restore(key, before));
      ++losses.lost;
    }
  }
  at_sync_.clear();
  return losses;
}

Status PowerCutStore::remember(std::string_view key) {
  if (at_sync_.contains(key)) return Ok{};
  auto before = inner_.get(key);
  if (!before.ok() && before.error().kind != ErrorKind::kNotFound) return std::move(before).error();
  at_sync_.emplace(key, before.ok() ? std::optional(std::move(before).value()) : std::nullopt);
  return Ok{};
}

Status PowerCutStore::restore(const std::string& key, const std::optional<std::string>& bytes) {
  return bytes ? inner_.put(key, *bytes) : inner_.remove(key);
}

}  // namespace quarry::objects
