// A store over one that promises too much: its writes count as done before they are safe.
#pragma once

#include <map>
#include <mutex>

#include "base/rng.h"
#include "objects/object_store.h"

namespace quarry::objects {

// Writes go to `inner`, which must outlive it and must have no other writer. Until `sync` a power cut may take them back: each object then
// has its content of the last sync, or what was written since, or (where that was a put) a beginning of it. Thread-safe, but for power_cut,
// which must run alone.
class PowerCutStore : public ObjectStore {
 public:
  explicit PowerCutStore(ObjectStore& inner) : inner_(inner) {}

  Status put(std::string_view key, std::string_view bytes) override;
  Status put_if_absent(std::string_view key, std::string_view bytes) override;
  Status remove(std::string_view key) override;
  Result<std::string> get(std::string_view key) override { return inner_.get(key); }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    return inner_.get_range(key, offset, length);
  }
  Result<ObjectInfo> head(std::string_view key) override { return inner_.head(key); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    return inner_.list(prefix, after, limit);
  }
  std::string describe() const override { return "power-cut+" + inner_.describe(); }

  // What was written so far is safe.
  void sync();

  struct Losses {
    size_t kept = 0, lost = 0, torn = 0;  // objects written since the last sync
  };
  // Decides each unsafe object's fate by `rng`: a third each.
  Result<Losses> power_cut(Rng& rng);

 private:
  Status remember(std::string_view key);  // the mutex is held
  Status restore(const std::string& key, const std::optional<std::string>& bytes);

  ObjectStore& inner_;
  std::mutex mutex_;
  std::map<std::string, std::optional<std::string>, std::less<>> at_sync_;  // of the keys written since; nullopt: absent
};

}  // namespace quarry::objects
