// The claim loop, the heartbeat and the threads behind pipeline::Engine.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "pipeline/batch_task.h"
#include "pipeline/pipeline.h"
#include "pipeline/tiering.h"

namespace quarry::pipeline {

// `concurrent_tasks` threads claim and run batches, one moves collections between tiers and one takes and brings back snapshots, so that
// they wait for no batch; one thread keeps their leases and sees cancellations; `threads` threads extract; one sweeps now and then, one
// begins daily snapshots and drops expired ones, one obeys the tiering rules.
class EngineImpl final : public Engine {
 public:
  explicit EngineImpl(Options options);
  ~EngineImpl() override { stop(); }

  Status start() override;
  void stop() override;
  void notify() override;
  void note_query(const Collection& collection) override { tiering_.note_query(collection); }
  void flush_queries() override { tiering_.flush_queries(); }

 private:
  // A claimed task while it runs. Its owner is unique to the claim, so that a worker which lost its lease cannot pass for the next one.
  struct Running {
    std::string task_id, owner;
    TaskControl control;
    int64_t extended_steady_us = 0;
  };

  void work(const std::vector<std::string>& task_types);
  Result<std::optional<Task>> claim(const std::vector<std::string>& task_types);
  void run(Task task);
  Status perform(Task task, TaskControl& control);
  void beat();
  void sweep();
  void keep_snapshots();
  bool is_stopping();
  bool wait_unless_stopping(int64_t us);  // false: stopping
  void check(Running& running);
  std::vector<std::shared_ptr<Running>> running();
  void wait_for_work(uint64_t seen);

  Options options_;
  BindExtractor bind_;
  ByteBudget sources_;
  std::unique_ptr<Executor> extraction_;
  Tiering tiering_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t notices_ = 0;  // notify() calls so far
  bool started_ = false, stopping_ = false;
  std::map<std::string, std::shared_ptr<Running>> running_;  // by owner
  uint64_t claims_ = 0;
};

}  // namespace quarry::pipeline
