#include "mvs/index/index_file.h"

#include <fmt/format.h>

#include <cstring>

#include "base/hash.h"
#include "base/rng.h"
#include "mvs/hot/checked_file.h"

namespace quarry::mvs {
namespace {


// Begins the graph file; then the centre, records, bytes, links and norms.
struct GraphHeader {
  uint64_t identity = 0;
  uint32_t metric = 0, dimension = 0;
  uint32_t nodes = 0;
  GraphOptions options;
  float largest_norm = 0;
};

uint64_t column_identity(const VectorSpec& spec) {
  return hash64(fmt::format("{}\n{}\n{}", spec.name, spec.dimension, to_string(spec.metric)));
}

std::filesystem::path file_of(const std::filesystem::path& folder, std::string_view name, const char* extension) {
  return folder / fmt::format("{:016x}.{}", hash64(name), extension);
}

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <class T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// Takes values off the front of a file's data.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}

  bool take(void* out, size_t bytes) {
    if (data_.size() < bytes) return false;
    std::memcpy(out, data_.data(), bytes);
    data_.remove_prefix(bytes);
    return true;
  }
  bool take(std::string_view& out, size_t bytes) {
    if (data_.size() < bytes) return false;
    out = data_.substr(0, bytes);
    data_.remove_prefix(bytes);
    return true;
  }
  bool empty() const { return data_.empty(); }

 private:
  std::string_view data_;
};

VectorSpec spec_of(const ColumnIndex& index) {
  VectorSpec spec;
  spec.name = index.vector_name;
  spec.dimension = uint32_t(index.graph->quantizer().dimension());
  spec.metric = index.graph->quantizer().metric();
  return spec;
}

Result<std::shared_ptr<Graph>> read_graph(const std::filesystem::path& path, const VectorSpec& spec, uint64_t& identity) {
  QUARRY_ASSIGN_OR_RETURN(const CheckedFile file, CheckedFile::open(path, kGraphFile, column_identity(spec)));
  Reader reader(file.data());
  GraphHeader header;
  std::vector<float> centre(spec.dimension);
  const auto bad = [&](const char* what) { return corruption(fmt::format("{}: {} at offset 0", path.string(), what)); };
  if (!reader.take(&header, sizeof header) || header.dimension != spec.dimension || header.metric != uint32_t(spec.metric))
    return bad("a header of another column");
  if (header.options.capacity == 0 || header.options.capacity > 64 || header.options.degree > header.options.capacity ||
      header.nodes > header.options.max_nodes)
    return bad("impossible options");
  if (!reader.take(centre.data(), centre.size() * sizeof(float))) return bad("too few bytes");
  auto quantizer = std::make_shared<const Quantizer>(spec.metric, std::move(centre), header.largest_norm);
  auto graph = std::make_shared<Graph>(std::move(quantizer), header.options);
  const auto sizes = graph->section_bytes(header.nodes);
  Graph::Sections sections;
  for (size_t s = 0; s < sections.size(); ++s)
    if (!reader.take(sections[s], sizes[s])) return bad("too few bytes");
  if (!reader.empty()) return bad("too many bytes");
  if (!graph->restore(header.nodes, sections)) return bad("links to nodes that are not there, or no memory,");
  identity = header.identity;
  return graph;
}

// Segments of `snapshot` by the path of their data file.
std::map<std::string_view, const SegmentView*> views_by_path(const Snapshot& snapshot) {
  std::map<std::string_view, const SegmentView*> out;
  for (const auto& view : snapshot.views) out.emplace(view.file->path, &view);
  return out;
}

}  // namespace

Result<uint64_t> save_graph(const std::filesystem::path& folder, const ColumnIndex& index) {
  const Graph& graph = *index.graph;
  const Quantizer& quantizer = graph.quantizer();
  GraphHeader header;
  std::memset(static_cast<void*>(&header), 0, sizeof header);  // padding too
  fill_secure_random({reinterpret_cast<uint8_t*>(&header.identity), sizeof header.identity});
  header.metric = uint32_t(quantizer.metric());
  header.dimension = uint32_t(quantizer.dimension());
  header.nodes = graph.linked();
  header.options = graph.options();
  header.largest_norm = quantizer.largest_norm();
  const auto sections = graph.sections(header.nodes);
  std::vector<std::string_view> pieces{bytes_of(header), bytes_of(quantizer.centre())};
  pieces.insert(pieces.end(), sections.begin(), sections.end());
  QUARRY_RETURN_IF_ERROR(
      write_checked_file(file_of(folder, index.vector_name, "graph"), kGraphFile, column_identity(spec_of(index)), pieces));
  return header.identity;
}

Status save_rows(const std::filesystem::path& folder, const ColumnIndex& index, const Snapshot& snapshot, uint64_t identity) {
  std::string out(bytes_of(identity));
  for (const auto& covered : index.covered) {
    const SegmentView* view = snapshot.view(covered.segment);
    if (view == nullptr) continue;
    const std::string& path = view->file->path;
    out += bytes_of(uint64_t(path.size()));
    out += bytes_of(uint64_t(covered.nodes->size()));
    out += path;
    out += bytes_of(covered.nodes->nodes());
  }
  const std::string_view piece(out);
  return write_checked_file(file_of(folder, index.vector_name, "rows"), kRowsFile, column_identity(spec_of(index)), {&piece, 1});
}

Result<LoadedIndex> load_index(const std::filesystem::path& folder, const VectorSpec& spec, const Snapshot& snapshot) {
  LoadedIndex out;
  auto index = std::make_shared<ColumnIndex>();
  index->vector_name = spec.name;
  QUARRY_ASSIGN_OR_RETURN(index->graph, read_graph(file_of(folder, spec.name, "graph"), spec, out.identity));
  const auto path = file_of(folder, spec.name, "rows");
  QUARRY_ASSIGN_OR_RETURN(const CheckedFile file, CheckedFile::open(path, kRowsFile, column_identity(spec)));
  Reader reader(file.data());
  const auto bad = [&] { return corruption(fmt::format("{}: its lists do not fit its {} bytes", path.string(), file.data().size())); };
  uint64_t identity = 0;
  if (!reader.take(&identity, sizeof identity)) return bad();
  if (identity != out.identity) return not_found(fmt::format("{} belongs to another graph", path.string()));
  const auto views = views_by_path(snapshot);
  const uint32_t count = index->graph->size();
  std::vector<NodeMap::Entry> entries;
  while (!reader.empty()) {
    uint64_t path_bytes = 0, rows = 0;
    std::string_view data_file, list;
    if (!reader.take(&path_bytes, sizeof path_bytes) || !reader.take(&rows, sizeof rows) || rows > file.data().size() ||
        !reader.take(data_file, path_bytes) || !reader.take(list, rows * sizeof(uint32_t)))
      return bad();
    const auto found = views.find(data_file);
    if (found == views.end() || found->second->segment->rows() != rows) continue;
    std::vector<uint32_t> nodes(rows);
    std::memcpy(nodes.data(), list.data(), list.size());
    // Nodes that were added after the graph was saved are not in it: their segment is indexed anew.
    if (std::any_of(nodes.begin(), nodes.end(), [&](uint32_t node) { return node != kNoNode && node >= count; })) continue;
    const uint32_t uid = found->second->segment->uid();
    for (uint32_t row = 0; row < rows; ++row)
      if (nodes[row] != kNoNode) entries.emplace_back(nodes[row], RowRef{uid, row});
    index->covered.push_back({uid, std::make_shared<const NodeOfRow>(std::move(nodes))});
  }
  std::sort(index->covered.begin(), index->covered.end(), [](const auto& a, const auto& b) { return a.segment < b.segment; });
  index->mapped = entries.size();
  index->nodes = NodeMap().with(count, std::move(entries));
  out.index = std::move(index);
  return out;
}

}  // namespace quarry::mvs
