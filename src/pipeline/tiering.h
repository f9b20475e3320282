// Obeys the tiering rules: looks at every collection with rules now and then, and at one that was just queried at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "pipeline/pipeline.h"
#include "pipeline/query_times.h"

namespace quarry::pipeline {

// Several processes may obey the rules of one catalog: each decides again within the transaction that acts, so that of two the second finds
// nothing left to do. A process that dies leaves the state before or after a step; the next look goes on from there.
class Tiering {
 public:
  // `on_enqueued` is called after a task was written. Everything in `options` outlives it.
  Tiering(const Options& options, std::function<void()> on_enqueued);
  ~Tiering() { stop(); }

  Status start();
  void stop();  // writes the times of queries

  void note_query(const Collection& collection);  // Engine::note_query()
  void flush_queries();                           // Engine::flush_queries()
  // One look at every collection. What fails is logged and left for the next look.
  Status look_at_all();

 private:
  // What was begun of a collection as it stood at `transitioned_at`. Should a move fail, it stays so, and is left alone for a while.
  struct Attempt {
    std::string transitioned_at;
    TimestampUs not_before = 0;                            // for another move
    std::chrono::steady_clock::time_point ask_again = {};  // for another look because of a query
  };

  void run();
  Status look_at(const catalog::Scope& scope, const std::string& collection_id);
  void take_back_archive(const Collection& collection, TimestampUs now);
  void bring_back(const Collection& collection, TimestampUs now);
  bool is_stopping();
  bool is_held_back(const Collection& collection, TimestampUs now);
  void hold_back(const Collection& collection, TimestampUs until);
  void forget_attempts();

  const Options& options_;
  const std::function<void()> on_enqueued_;
  QueryTimes queries_;
  std::thread thread_;

  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::string, catalog::Scope> queried_;  // cold collections to look at, by id
  std::map<std::string, Attempt> attempts_;        // by collection id
};

}  // namespace quarry::pipeline
