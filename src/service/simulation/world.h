// The machine that a simulated service runs on: a disk and a catalog that outlive crashes, a network that fails, a clock that is moved.
// For tests only.
#pragma once

#include "service/simulation/powered_catalog.h"
#include "service/test_snapshot_world.h"

namespace quarry::service::simulation {

// Errors that the world makes are noted and passed; every other one fails the test.
class FaultyWorld : public SnapshotWorld {
 protected:
  enum class Weather { kDrawn, kGood };

  explicit FaultyWorld(uint64_t seed) : rng_(seed) {}
  void SetUp() override;
  void TearDown() override;
  void adjust(pipeline::Options& options) override;

  void restart(Weather weather = Weather::kDrawn);  // in good order
  void crash(Weather weather = Weather::kDrawn);    // the machine loses its power if it has not yet, and starts again

  // The reply; nothing where the world was to blame.
  std::optional<json::object> ask(const Client& client, const std::string& operation, Call call = {});
  void tolerate(std::string_view what, const Error& error);
  static bool is_to_blame(std::string_view message);

  // Runs `look` with requests answered by another server over the same disk and catalog, which meets no faults.
  template <typename Look>
  auto inspect(const Look& look) {
    const auto vectors = mvs::VectorStore::open({.store = disk_.get(), .clock = &clock_}).value();
    Dependencies deps = deps_;
    deps.catalog = sqlite_.get();
    deps.store = disk_.get();
    deps.vectors = vectors.get();
    deps.engine = nullptr;
    std::unique_ptr<Api> served = std::exchange(api_, Api::make(deps));
    auto seen = look();
    api_ = std::move(served);
    return seen;
  }

  std::vector<catalog::Resource> rows(std::string_view kind);  // of the first organization
  std::optional<Task> find_task(const std::string& task_id);
  void sweep();        // as the engine does now and then, whatever the age
  void check_files();  // that a row of the catalog owns each

  template <typename... Args>
  void note(fmt::format_string<Args...> text, Args&&... args) {
    trace_.push_back(fmt::format(text, std::forward<Args>(args)...));
  }
  bool one_in(uint64_t n) { return rng_.below(n) == 0; }
  template <typename List>
  auto& any_of(List& list) {
    auto it = list.begin();
    std::advance(it, rng_.below(list.size()));
    return *it;
  }

  Rng rng_;
  std::unique_ptr<objects::ObjectStore> disk_;
  std::optional<objects::PoweredStore> power_;
  std::unique_ptr<catalog::Catalog> sqlite_;
  TimestampUs booted_at_ = 0;
  std::vector<std::string> trace_;

 private:
  void boot(Weather weather);
  void shut_down();
  objects::FaultPlan draw_faults();
  mvs::StoreOptions draw_options();

  mvs::StoreOptions options_;
  bool has_upkeep_ = false;  // in the background
  std::unique_ptr<Executor> workers_;
};

}  // namespace quarry::service::simulation
