// A cold table at one version: its data files, in parts where they have sidecars, whole where they are small or have none.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "mvs/cold/cold_file.h"
#include "mvs/hot/snapshot.h"
#include "mvs/hot/top_rows.h"
#include "mvs/warm/delta_log.h"

namespace quarry::mvs {

// Of a call, by the names of columns. A column that several files lack costs nothing.
void need_field(std::string_view field, ColdNeeds& out);  // a payload path or system column
void need_filter(const Filter& filter, ColdNeeds& out);

// Immutable but for what its files keep of what was read; thread-safe. `files` and `io` outlive it.
class ColdView {
 public:
  struct Context {
    std::atomic<uint32_t>& next_uid;  // numbers new files
    Executor* io = nullptr;           // null: reads come one after another
    uint64_t sidecar_min_rows = 0;    // of a file that is worth sidecars
  };
  // What `previous` (may be null) has of the same files is taken from it.
  static Result<std::shared_ptr<const ColdView>> open(const TableFiles& files, const LogState& log, const ColdView* previous,
                                                      const Context& context);

  int64_t version() const { return version_; }
  const std::shared_ptr<const TableSchema>& schema() const { return schema_; }
  uint64_t memory_bytes() const;
  // Whether a file was read whole that sidecars would serve.
  bool lacks_sidecars() const { return lacks_sidecars_; }
  // Makes sure that what was found broken is not used again. False: nothing was.
  bool drop_broken() const;

  // The live rows, with the columns that `needs` names. Documents are not to be made from it.
  Result<std::shared_ptr<const Snapshot>> snapshot(const ColdNeeds& needs) const;
  // A snapshot of some rows alone, whole. `rows` are of a snapshot of this view; the result's rows are in another order.
  Result<std::shared_ptr<const Snapshot>> rows(const std::vector<RowRef>& rows) const;
  // Whole documents of rows of a snapshot of this view, in their order.
  Result<std::vector<Document>> documents(const std::vector<RowRef>& rows, const Projection& projection) const;

  struct File {
    std::shared_ptr<const AddFile> file;
    std::shared_ptr<const Bitmap> deleted;  // null: none
    size_t rows = 0, live = 0;
    std::shared_ptr<ColdFile> cold;        // null: `segment` has all of it
    std::shared_ptr<const Segment> segment;

    uint32_t uid() const { return cold != nullptr ? cold->uid() : segment->uid(); }
    bool is_reusable(uint64_t sidecar_min_rows, const TableSchema& schema) const;
  };
  const std::vector<File>& files() const { return files_; }  // ascending by uid
  const File& file(uint32_t uid) const;
  objects::ObjectStore& store() const { return table_files_.store; }
  Executor* io() const { return context_.io; }

 private:
  ColdView(const TableFiles& files, const Context& context) : table_files_(files), context_(context) {}
  Status load(File& file, const File* known);
  std::shared_ptr<Snapshot> empty_snapshot() const;

  struct Pages;
  Result<Pages> read_pages(const std::vector<RowRef>& rows) const;

  const TableFiles& table_files_;
  const Context context_;
  int64_t version_ = -1, data_version_ = -1;
  std::shared_ptr<const TableSchema> schema_;
  Analyzer analyzer_;
  std::vector<File> files_;
  std::atomic<bool> lacks_sidecars_{false};
};

}  // namespace quarry::mvs
