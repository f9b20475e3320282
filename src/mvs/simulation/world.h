// The machine that a simulated server runs on: a disk that outlives crashes, a network that fails, a clock that is moved, local files that
// a crash mauls. For tests only.
#pragma once

#include "base/executor.h"
#include "base/temporary_folder.h"
#include "mvs/simulation/draws.h"
#include "objects/powered_store.h"

namespace quarry::mvs::simulation {

class World {
 public:
  explicit World(test::DocumentSource& source);

  // Starts a server over the table at `prefix`; one that runs is dropped. Every server meets faults of its own.
  Status boot();
  // The machine loses its power if it has not yet, and starts again.
  Status crash();
  VectorStore& server() { return *server_->store; }
  objects::PoweredStore& power() { return power_; }
  objects::ObjectStore& network() { return *server_->network; }
  ManualClock& clock() { return clock_; }

  // A server on another machine, whose requests succeed.
  Result<std::unique_ptr<VectorStore>> other_server();
  // What the disk holds, as a server without faults reads it.
  Result<json::value> on_disk();
  size_t files_below(const std::string& prefix);
  // Whether the world, and not the server, is to blame.
  static bool is_to_blame(const Error& error);

  TableSpec spec = test::full_spec();  // `tier` and `prefix` are those of the next server's table
  bool has_indexes() const { return options_.index_min_rows < kIds; }
  std::string describe() const;

 private:
  struct Server {  // the last goes first
    std::unique_ptr<objects::ObjectStore> network;
    std::unique_ptr<Executor> executor;
    std::unique_ptr<VectorStore> store;
  };
  objects::FaultPlan draw_weather();
  void maul_local_files();

  test::DocumentSource& source_;
  ManualClock clock_;
  std::unique_ptr<objects::ObjectStore> disk_ = objects::make_memory_store(clock_);
  objects::PoweredStore power_;
  TemporaryFolder local_{"quarry-simulation"};
  StoreOptions options_;
  bool has_executor_;
  std::unique_ptr<Server> server_;
};

}  // namespace quarry::mvs::simulation
