#include "mvs/cold/cold_view.h"

#include <arrow/api.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/log.h"

namespace quarry::mvs {

// Where the pages of some rows are, once read.
struct ColdView::Pages {
  std::map<std::pair<uint32_t, uint32_t>, std::shared_ptr<const RowBlock>> blocks;  // by file and page
};

void need_field(std::string_view field, ColdNeeds& out) {
  if (field.empty()) return;
  out.columns.emplace(field);
  out.columns.emplace(field.substr(0, field.find('.')));  // the column may hold what the path leads into
}

void need_filter(const Filter& filter, ColdNeeds& out) {
  if (filter.kind == Filter::Kind::kCondition) need_field(filter.field, out);
  for (const Filter& child : filter.children) need_filter(child, out);
}

Result<std::shared_ptr<const ColdView>> ColdView::open(const TableFiles& files, const LogState& log, const ColdView* previous,
                                                       const Context& context) {
  std::shared_ptr<ColdView> out(new ColdView(files, context));
  QUARRY_ASSIGN_OR_RETURN(TableSchema schema, TableSchema::from_delta(log.metadata.schema_string));
  out->schema_ = std::make_shared<const TableSchema>(std::move(schema));
  if (previous != nullptr && previous->schema_->delta_schema() == out->schema_->delta_schema()) out->schema_ = previous->schema_;
  out->analyzer_ = analyzer_of(log.metadata);
  out->version_ = log.version;
  out->data_version_ = log.data_version;
  for (const auto& [path, file] : log.files) out->files_.push_back({.file = file});
  std::unordered_map<std::string_view, const File*> known;
  if (previous != nullptr)
    for (const File& f : previous->files_)
      if (f.is_reusable(context.sidecar_min_rows, *out->schema_)) known.emplace(f.file->path, &f);
  std::mutex mutex;
  Status status = Ok{};
  parallel_for(context.io, out->files_.size(), [&](size_t i) {
    const auto it = known.find(out->files_[i].file->path);
    if (auto s = out->load(out->files_[i], it != known.end() ? it->second : nullptr); !s.ok()) {
      std::lock_guard lock(mutex);
      status = std::move(s);
    }
  });
  QUARRY_RETURN_IF_ERROR(status);
  std::erase_if(out->files_, [](const File& f) { return f.live == 0; });
  std::sort(out->files_.begin(), out->files_.end(), [](const File& a, const File& b) { return a.uid() < b.uid(); });
  return std::shared_ptr<const ColdView>(std::move(out));
}

// `known`: the same file in a view before; may be null.
Status ColdView::load(File& file, const File* known) {
  if (known != nullptr) {
    file.cold = known->cold;
    file.segment = known->segment;
  } else {
    auto cold = ColdFile::open(table_files_, file.file, *schema_, context_.next_uid++);
    if (cold.ok()) {
      file.cold = std::move(cold).value();
    } else {
      if (cold.error().kind == ErrorKind::kCorruption) {
        log_warn("a cold sidecar is no use; the data file is read whole", {{"file", file.file->path}, {"error", cold.error().message}});
        QUARRY_RETURN_IF_ERROR(table_files_.store.remove(table_files_.key(cold_index_path(file.file->path))));
      } else if (cold.error().kind != ErrorKind::kNotFound) {
        return std::move(cold).error();
      }
      QUARRY_ASSIGN_OR_RETURN(const SegmentView whole, load_view(table_files_, file.file, schema_, context_.next_uid++));
      file.segment = whole.segment;
    }
  }
  file.rows = file.cold != nullptr ? file.cold->rows() : file.segment->rows();
  if (file.cold == nullptr && file.rows >= context_.sidecar_min_rows) lacks_sidecars_ = true;
  file.live = file.rows;
  if (!file.file->deletion_vector) return Ok{};
  if (known != nullptr && known->file->deletion_vector == file.file->deletion_vector) {
    file.deleted = known->deleted;
  } else {
    QUARRY_ASSIGN_OR_RETURN(file.deleted, load_deleted(table_files_, *file.file, file.rows));
  }
  file.live -= file.deleted->count();
  return Ok{};
}

// What is broken is opened anew, and what was read whole for want of sidecars.
bool ColdView::File::is_reusable(uint64_t sidecar_min_rows, const TableSchema& schema) const {
  return cold != nullptr ? cold->trusted() && cold->fits(schema) : rows < sidecar_min_rows;
}

uint64_t ColdView::memory_bytes() const {
  uint64_t bytes = 0;
  for (const File& f : files_) {
    bytes += f.cold != nullptr ? f.cold->memory_bytes() : f.segment->memory_bytes();
    if (f.deleted != nullptr) bytes += f.deleted->memory_bytes();
  }
  return bytes;
}

bool ColdView::drop_broken() const {
  bool found = false;
  for (const File& f : files_) {
    if (f.cold == nullptr || f.cold->trusted()) continue;
    found = true;
    if (auto removed = f.cold->remove_index(); !removed.ok())
      log_warn("a broken cold sidecar could not be removed", {{"file", f.file->path}, {"error", removed.error().message}});
  }
  return found;
}

const ColdView::File& ColdView::file(uint32_t uid) const {
  return *std::lower_bound(files_.begin(), files_.end(), uid, [](const File& f, uint32_t u) { return f.uid() < u; });
}

std::shared_ptr<Snapshot> ColdView::empty_snapshot() const {
  auto out = std::make_shared<Snapshot>();
  out->version = version_;
  out->data_version = data_version_;
  out->schema = schema_;
  out->analyzer = analyzer_;
  return out;
}

Result<std::shared_ptr<const Snapshot>> ColdView::snapshot(const ColdNeeds& needs) const {
  auto out = empty_snapshot();
  out->views.resize(files_.size());
  std::mutex mutex;
  Status status = Ok{};
  parallel_for(io(), files_.size(), [&](size_t i) {
    const File& f = files_[i];
    SegmentView& view = out->views[i];
    view.file = f.file;
    view.deleted = f.deleted;
    view.live = f.live;
    auto segment = f.cold != nullptr ? f.cold->segment(needs, schema_, analyzer_, io()) : Result<std::shared_ptr<const Segment>>(f.segment);
    if (segment.ok()) {
      view.segment = std::move(segment).value();
      return;
    }
    if (f.cold != nullptr && segment.error().kind == ErrorKind::kCorruption) f.cold->distrust();
    std::lock_guard lock(mutex);
    status = std::move(segment).error();
  });
  QUARRY_RETURN_IF_ERROR(status);
  out->settle();
  return std::shared_ptr<const Snapshot>(std::move(out));
}

Result<ColdView::Pages> ColdView::read_pages(const std::vector<RowRef>& rows) const {
  Pages out;
  for (const RowRef ref : rows)
    if (const File& f = file(ref.segment); f.cold != nullptr) out.blocks[{ref.segment, f.cold->place(ref.row).page}] = nullptr;
  std::vector<RangeOfObject> wanted;
  std::vector<ColdFile*> owners;
  for (const auto& [at, block] : out.blocks) {
    owners.push_back(file(at.first).cold.get());
    wanted.push_back(owners.back()->page_range(at.second));
  }
  size_t failed = 0;
  auto bytes = read_ranges(store(), io(), wanted, &failed);
  if (!bytes.ok()) {
    if (bytes.error().kind == ErrorKind::kCorruption) owners[failed]->distrust();
    return std::move(bytes).error();
  }
  size_t i = 0;
  for (auto& [at, block] : out.blocks) {
    auto decoded = owners[i]->decode_page((*bytes)[i], at.second, schema_);
    if (!decoded.ok()) {
      owners[i]->distrust();
      return std::move(decoded).error();
    }
    block = std::move(decoded).value();
    ++i;
  }
  return out;
}

Result<std::shared_ptr<const Snapshot>> ColdView::rows(const std::vector<RowRef>& rows) const {
  QUARRY_ASSIGN_OR_RETURN(const Pages pages, read_pages(rows));
  auto out = empty_snapshot();
  // A page with the rows that were not asked for taken away.
  std::map<std::pair<uint32_t, uint32_t>, Bitmap> wanted;
  for (const RowRef ref : rows) {
    const ColdFile::PlaceOfRow place = file(ref.segment).cold->place(ref.row);
    auto& bits = wanted[{ref.segment, place.page}];
    if (bits.size() == 0) bits = Bitmap(pages.blocks.at({ref.segment, place.page})->rows(), true);
    bits.clear(place.row);
  }
  uint32_t uid = 0;
  for (auto& [at, absent] : wanted) {
    SegmentView& view = out->views.emplace_back();
    view.segment = std::make_shared<const Segment>(++uid, pages.blocks.at(at));
    view.live = absent.size() - absent.count();
    view.deleted = std::make_shared<const Bitmap>(std::move(absent));
    view.file = file(at.first).file;
  }
  out->settle();
  return std::shared_ptr<const Snapshot>(std::move(out));
}

Result<std::vector<Document>> ColdView::documents(const std::vector<RowRef>& rows, const Projection& projection) const {
  QUARRY_ASSIGN_OR_RETURN(const Pages pages, read_pages(rows));
  std::vector<Document> out;
  out.reserve(rows.size());
  for (const RowRef ref : rows) {
    const File& f = file(ref.segment);
    const RowBlock* block = f.cold == nullptr ? &f.segment->block() : nullptr;
    size_t row = ref.row;
    if (f.cold != nullptr) {
      const ColdFile::PlaceOfRow place = f.cold->place(ref.row);
      block = pages.blocks.at({ref.segment, place.page}).get();
      row = place.row;
    }
    QUARRY_ASSIGN_OR_RETURN(auto document, block->document(row, projection));
    out.push_back(std::move(document));
  }
  return out;
}

}  // namespace quarry::mvs
