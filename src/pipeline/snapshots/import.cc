// Importing a snapshot. It is copied into the namespace's own snapshots as if it had been taken there: rows first, with keys and the
// namespace's ids made its own, then file by file, each checked before it is put; then new lists and a new manifest, then the row.
#include <fmt/format.h>

#include "pipeline/snapshots/draft.h"
#include "pipeline/snapshots/foreign.h"

namespace quarry::pipeline {
namespace {

class SnapshotImport {
 public:
  explicit SnapshotImport(SnapshotJob& job)
      : job_(job),
        store_(*job.options().store),
        draft_(job),
        source_{job.input("import_from"), job.input("import_prefix"), job.input("import_manifest_sha256")} {}

  Status run() {
    return draft_.run([this] { return import(); });
  }

 private:
  Status import() {
    QUARRY_ASSIGN_OR_RETURN(place_, find_import_place(job_.options().import_places, store_, source_.place));
    QUARRY_ASSIGN_OR_RETURN(const ForeignManifest found, read_foreign_manifest(*place_, source_));
    const Manifest& from = found.manifest;
    Manifest to = begin_manifest(from);
    QUARRY_RETURN_IF_ERROR(draft_.begin());
    ForeignRows rows(from, to);
    QUARRY_RETURN_IF_ERROR(copy_catalog(from, rows, to));
    QUARRY_RETURN_IF_ERROR(copy_files(from, rows, to));
    return draft_.finish(to);
  }

  // It keeps the moment at which it was taken, and what its tables held then.
  Manifest begin_manifest(const Manifest& from) const {
    Manifest to;
    to.snapshot_id = job_.input("snapshot_id");
    to.namespace_id = job_.input("namespace_id");
    to.namespace_name = job_.input("namespace_name");
    to.internal_id = job_.input("internal_id");
    to.created_at = from.created_at;
    to.include_vectors = from.include_vectors;
    to.blobs_copied = from.blobs_copied;
    to.tables = from.tables;
    return to;
  }

  Status copy_catalog(const Manifest& from, ForeignRows& rows, Manifest& to) {
    job_.set_phase("catalog");
    ListWriter lines(store_, draft_.folder(), "catalog");
    QUARRY_RETURN_IF_ERROR(for_each_foreign_line(from.catalog_parts, [&](const json::object& line) -> Status {
      QUARRY_ASSIGN_OR_RETURN(catalog::Resource row, parse_resource(line));
      QUARRY_RETURN_IF_ERROR(rows.adopt(row));
      QUARRY_RETURN_IF_ERROR(count_resource(row, to));
      return lines.add(encode_resource(row));
    }));
    QUARRY_RETURN_IF_ERROR(rows.finish());
    if (to.resources != from.resources) return corruption("the snapshot's rows are not as many as its manifest says");
    QUARRY_ASSIGN_OR_RETURN(to.catalog_parts, lines.finish());
    return Ok{};
  }

  Status copy_files(const Manifest& from, const ForeignRows& rows, Manifest& to) {
    job_.set_phase("files");
    ListWriter files(store_, draft_.folder(), "files");
    QUARRY_RETURN_IF_ERROR(for_each_foreign_line(from.file_parts, [&](const json::object& line) -> Status {
      QUARRY_ASSIGN_OR_RETURN(const SnapshotFile file, parse_file(line));
      QUARRY_RETURN_IF_ERROR(rows.check_path(file.path));
      QUARRY_RETURN_IF_ERROR(copy(file));
      ++to.files;
      to.bytes += file.size;
      return files.add(encode_file(file));
    }));
    if (to.files != from.files || to.bytes != from.bytes) return corruption("the snapshot's files are not as many as its manifest says");
    QUARRY_ASSIGN_OR_RETURN(to.file_parts, files.finish());
    return Ok{};
  }

  Status copy(const SnapshotFile& file) {
    QUARRY_ASSIGN_OR_RETURN(const std::string bytes, read_foreign_file(*place_, source_.prefix, file));
    Status put = store_.put_if_absent(draft_.folder() + "/" + file.path, bytes);
    if (!put.ok() && put.error().kind == ErrorKind::kAlreadyExists)
      return corruption(fmt::format("the snapshot lists the file '{}' twice", file.path));
    QUARRY_RETURN_IF_ERROR(put);
    return job_.count_file(bytes.size());
  }

  // As for_each_line(), but no part is read that is not as large as the manifest says.
  Status for_each_foreign_line(const std::vector<SnapshotFile>& parts, const VisitLine& visit) {
    for (const SnapshotFile& part : parts) {
      QUARRY_RETURN_IF_ERROR(job_.check());
      QUARRY_ASSIGN_OR_RETURN(const std::string text, read_foreign_file(*place_, source_.prefix, part));
      QUARRY_RETURN_IF_ERROR(for_each_line_of(source_.prefix + "/" + part.path, text, visit));
    }
    return Ok{};
  }

  SnapshotJob& job_;
  objects::ObjectStore& store_;
  SnapshotDraft draft_;
  const ImportSource source_;
  objects::ObjectStore* place_ = nullptr;
};

}  // namespace

Status run_import_task(const Options& options, TaskControl& control, Task task) {
  SnapshotJob job(options, control, std::move(task));
  return SnapshotImport(job).run();
}

}  // namespace quarry::pipeline
