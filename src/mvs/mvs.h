// The vector store. A table per collection: the warm tier is a Delta Lake table on the object store, written first; the hot tier follows
// its log.
//
// One score. A document's score for a query vector is computed from its stored float32 vector by one kernel with a fixed order of
// operations (mvs/hot/kernels.h), so it has the same bits on every machine and tier. cosine: dot(q,x) / (|q| |x|), 0 if either is the zero
// vector; dot: dot(q,x); euclidean: 1 / (1 + |q-x|). min_score compares with that score. Order: score descending, then document_id
// ascending by bytes.
//
// Sparse: the float32 sum, from +0 and in ascending order of the index, of the products over the indices that query and document share;
// each product and each addition is rounded, nothing is fused. A document that shares no index is no hit. Multi-vector (MaxSim): the
// float32 sum, from +0 and in the order of the query's tokens, of each token's best score among the document's tokens, scored as above by
// the column's metric. A sum that leaves float32's range is taken again in float64 and cut to it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/executor.h"
#include "model/document.h"
#include "model/filter.h"
#include "model/schema.h"
#include "objects/object_store.h"

namespace quarry::mvs {

enum class Metric { kCosine, kDot, kEuclidean };
std::string_view to_string(Metric metric);
Result<Metric> parse_metric(std::string_view name);  // "cosine", "dot", "euclidean", also "l2", "dotproduct"

enum class VectorKind {
  kDense,   // one list of `dimension` floats
  kSparse,  // index -> weight; scored by dot product
  kMulti,   // any number of lists of `dimension` floats, one per token or patch; scored by MaxSim (ColBERT, Khattab & Zaharia 2020)
};
std::string_view to_string(VectorKind kind);  // "dense", "sparse", "multi_dense"
Result<VectorKind> parse_vector_kind(std::string_view name);

struct VectorSpec {
  std::string name;  // column name after "vector_" is taken care of by the store; unique in the table
  std::string feature_uri;
  uint32_t dimension = 0;  // 1..65,536; of sparse vectors 0: any index below 2^32
  Metric metric = Metric::kCosine;
  VectorKind kind = VectorKind::kDense;
};

struct FieldSpec {
  std::string name;
  FieldType type = FieldType::kString;
  bool yields = false;  // to a column of another type that the table has already
};

// kBadRequest naming the first field that can't have a column of its own: for its characters, because a column of every table has the
// name, or because a field before it has, whatever the case.
Status check_fields(const std::vector<FieldSpec>& fields);

// What one value of a column may hold at most, and a query at most.
inline constexpr size_t kMaxSparseEntries = 65'536;
inline constexpr size_t kMaxTokens = 8'192;
inline constexpr size_t kMaxTokenValues = 1 << 20;  // tokens times dimension
inline constexpr size_t kMaxQueryTokens = 2'048;

// Where a table's searches are served from. Every tier gives the same scores and answers the same calls.
//   active  the newest snapshot is held in memory
//   cold    nothing of the rows is held: a call reads what it needs from the object store, in parts, and lets go of it
//           (StoreOptions.cold_cache_bytes bounds what stays for the next one). Writes commit to the warm tier as always; they read the
//           table whole.
enum class Tier { kActive, kCold };
std::string_view to_string(Tier tier);  // "active", "cold"

struct TableSpec {
  std::string table_id;  // the collection's id
  std::string prefix;    // key prefix on the object store: "{internal_id}/{namespace_id}/{collection_id}"
  std::vector<VectorSpec> vectors;
  std::vector<FieldSpec> fields;  // payload fields that get a typed column; everything else lands in the JSON column
  Tier tier = Tier::kActive;      // that the table begins in when it is made or attached; set_tier() changes it
  std::string text_language = "english";  // whose stemming searches by words use, as parse_text_language names it; fixed by create_table
};

// "german" of "german", "de" or "de-AT": a Snowball language by its name or by a BCP 47 tag, or "none". kBadRequest lists what there is.
Result<std::string> parse_text_language(std::string_view name);

// Removes every row of these sources that the same batch does not write: re-processing replaces a source in one commit.
struct SourceReplacement {
  std::vector<std::string> source_ids;  // Lineage.source_object_id, or source_document_id where that is set
};

// A change of one row, applied by the writer to the newest version: concurrent patches do not lose each other.
struct DocumentPatch {
  std::string document_id;
  json::object set;  // dotted paths reach into objects
  std::vector<std::string> unset;
  bool replace_payload = false;      // `set` becomes the whole payload; vectors stay
  std::vector<DenseVector> vectors;  // of all three: replaces those named
  std::vector<SparseVector> sparse_vectors;
  std::vector<MultiVector> multi_vectors;
};

struct WriteBatch {
  std::vector<Document> upserts;  // by document_id; the last of equal ids wins
  std::vector<DocumentPatch> patches;
  std::vector<std::string> deletes;
  std::optional<SourceReplacement> replace;
  std::vector<std::string> must_be_absent;  // kAlreadyExists, and nothing is written, if the table has one of these documents
  // Delta `txn`: a batch whose (app, version) was committed before is a no-op that returns the version it has.
  std::string txn_app;
  int64_t txn_version = 0;
};

struct WriteResult {
  int64_t version = 0;  // the Delta version that holds the batch
  uint64_t inserted = 0, replaced = 0, patched = 0, deleted = 0;
  std::vector<std::string> missing;  // patches and deletes whose document is absent
  bool repeated = false;             // txn was committed before
};

// What of a row to read.
struct Projection {
  bool payload = true;
  bool vectors = false;
  std::vector<std::string> vector_names;  // empty with vectors: all
  std::vector<std::string> fields;        // payload members; empty: all
};

struct GroupSpec {
  std::string field;
  size_t max_per_group = 1;
  size_t limit = 25;  // groups
};

struct DenseQuery {
  std::vector<float> values;  // the table's dimension, finite; else kBadRequest
};

struct SparseQuery {
  std::vector<uint32_t> indices;  // ascending, distinct; at least one
  std::vector<float> values;      // as many, finite
};

struct MultiVectorQuery {
  std::vector<float> values;  // token after token, each of the table's dimension, finite; at least one token
};

// BM25 over text fields (Robertson & Zaragoza 2009). A text is cut into words (UAX #29), folded (NFKC_Casefold) and stemmed by the table's
// language; no word is dropped as too common. Searched are the values, texts or lists of texts, of declared string and text fields.
// Every hit's score is the float32 sum, from +0, over the fields in ascending order and in each over the query's distinct terms in
// ascending order (both by bytes), of
//   w tf / (tf + (0.3 + s length)),   w = count ln(1 + (n - df + 0.5) / (df + 0.5)) 2.2,   s = 0.9 n / total,
// with tf the term's occurrences in the field, length the words in it, and over the live rows of the searched version: n those with a word
// in the field, total their words, df those with the term; count: its occurrences in the query. w and s are computed in float64 and cut to
// float32; the rest is float32, nothing fused. k1 is 1.2, b 0.75. What matches decides who is a hit, not its score. No word: no hit.
struct TextQuery {
  std::string text;                 // at most 512 different words
  std::vector<std::string> fields;  // payload fields; empty: every one declared as string or text
  // kAny: a hit has one of the words; kAll: each, in whichever fields; kPhrase: in one field all of them one after another.
  enum class Match { kAny, kAll, kPhrase } match = Match::kAny;
  // The last word stands for every term that begins with its letters, and for its own term: one term whose occurrences are theirs together.
  bool prefix = false;
};

using Query = std::variant<DenseQuery, SparseQuery, MultiVectorQuery, TextQuery>;

struct SearchRequest {
  std::string table_id;
  std::string vector_name;  // of the three vector queries
  Query query;
  Filter filter;
  size_t k = 10;
  std::optional<float> min_score;
  bool exact = false;  // every row is scored; else an index may choose the candidates, and a few of the best may be missing
  size_t effort = 0;   // of an index, about how many candidates it keeps in view: more finds better ones; 0: the store chooses
  std::optional<GroupSpec> group;  // then `k` is ignored: the best groups by their best member, members in order
  Projection projection;
  int64_t deadline_us = INT64_MAX;  // on the steady clock; kTimeout when passed
};

struct Hit {
  float score = 0;
  Document document;
};

struct SearchResult {
  std::vector<Hit> hits;
  Tier tier = Tier::kActive;
  int64_t version = 0;
  uint64_t rows_scored = 0;
};

struct SortSpec {
  std::string field;  // payload path, or document_id, created_at, updated_at; empty: document_id
  bool descending = false;
  bool nulls_last = true;
  std::string fallback_field = {};  // orders rows whose `field` is missing or null
  bool by_time = false;             // texts that are timestamps order by time, before all other texts
};

struct ScanRequest {
  std::string table_id;
  Filter filter;
  std::optional<SortSpec> sort;  // ties by document_id ascending
  size_t offset = 0;
  size_t limit = 100;
  std::string after_document_id;  // keyset page in document_id order; excludes `sort`
  bool with_total = false;
  Projection projection;
};

struct ScanResult {
  std::vector<Document> documents;
  bool has_more = false;
  std::optional<uint64_t> total;
  int64_t version = 0;
};

struct FacetValue {
  json::value value;
  uint64_t count = 0;
};

struct TableStats {
  Tier tier = Tier::kActive;
  TimestampUs last_read_us = 0;  // when this process last answered a search, scan, get, count or facet; 0: not yet
  int64_t version = 0;
  int64_t data_version = 0;  // the newest version that changed documents; upkeep does not move it
  uint64_t documents = 0;
  uint64_t files = 0, bytes = 0;            // live data files of the warm tier
  uint64_t deleted_rows = 0;                // held by deletion vectors
  uint64_t memory_bytes = 0;                // anonymous memory; of a cold table what the cold cache holds
  std::map<std::string, uint64_t> vectors;  // rows that have each vector
};

// What costs nothing to know of a table.
struct TableUsage {
  std::string table_id;
  Tier tier = Tier::kActive;
  TimestampUs last_read_us = 0;
  uint64_t memory_bytes = 0;
};

struct StoreOptions {
  objects::ObjectStore* store = nullptr;  // outlives the VectorStore
  Executor* executor = nullptr;           // scans and encodes in parallel; outlives the VectorStore
  const Clock* clock = &system_clock();
  // 0: no limit. Past it the tables read longest ago are served from the cold tier until there is room; a write answers kTooManyRequests
  // when that does not make room for it.
  uint64_t memory_budget_bytes = 0;
  uint64_t cold_cache_bytes = 64ull << 20;        // of the tables read last from the cold tier; 0: each is read again for each call
  int64_t cold_timeout_us = 60'000'000;           // a call that reads waits so long for a cold table (kTimeout), a write until it is there
  // Rows of a data file from which on a cold table reads it in parts, by sidecars that are made when the table goes cold.
  uint64_t sidecar_min_rows = 4096;
  int64_t commit_window_us = 5'000;               // how long the committer waits for company
  int64_t checkpoint_interval = 50;               // commits between checkpoints of a table's log
  uint64_t target_file_bytes = 64ull << 20;       // of a data file; one of half the size is never merged again
  int64_t file_retention_us = 600ll * 1'000'000;  // how long files stay that newer versions do not need
  int64_t log_retention_us = 600ll * 1'000'000;   // how long log entries stay that a checkpoint covers
  // A folder of this process alone on the local disk: segments and indexes are kept there, mapped rather than held in memory, and a restart
  // opens them. Empty: everything is held in memory. May be deleted while the store is closed.
  std::filesystem::path local_folder = {};
  Executor* background = nullptr;                 // runs upkeep: compaction and indexes; null: `executor` does
  uint64_t index_min_rows = 4096;                 // rows with a vector from which a dense column gets an index
  // How often the log of a table in use is looked at for other writers' commits; of one that nobody has read or written for ten minutes
  // sixty times as seldom. 0: only maintain() and writes look.
  int64_t follow_interval_us = 0;
  // How often a vector query that an index answered is asked once more, exactly and in the background, to tell how much of the answer the
  // index found (quarry_mvs_recall under /metrics). 0: never.
  int64_t recall_probe_interval_us = 0;
};

// All methods are thread-safe. Readers work on the snapshot that was current when they began and take no lock that a writer holds.
// A write that returned ok is durable and visible to every read that starts later. Errors: kNotFound (no such table or document),
// kBadRequest (dimension, NaN, absent vector name, reserved id), kStorage, kCorruption (names file and offset), kTooManyRequests.
class VectorStore {
 public:
  static Result<std::unique_ptr<VectorStore>> open(StoreOptions options);
  virtual ~VectorStore() = default;
  // Ends upkeep: none begins afterwards, and what runs ends at its next step; saves what indexes have grown by. Reads and writes go on, and the
  // destructor does the same; a program that stops its executors first calls it before that.
  virtual void close() {}

  // Commits version 0. kAlreadyExists if the table is there.
  virtual Status create_table(const TableSpec& spec) = 0;
  // Makes an existing table known (its files are read on first touch). Ok if known already.
  virtual Status attach_table(const TableSpec& spec) = 0;
  // Adds vector and field columns; existing ones must agree.
  virtual Status extend_table(const TableSpec& spec) = 0;
  virtual Status drop_table(std::string_view table_id) = 0;

  virtual Result<WriteResult> write(std::string_view table_id, WriteBatch batch) = 0;
  // Deletes what matches; returns how many.
  virtual Result<uint64_t> delete_where(std::string_view table_id, const Filter& filter) = 0;

  virtual Result<SearchResult> search(const SearchRequest& request) = 0;
  virtual Result<std::vector<Document>> get(std::string_view table_id, const std::vector<std::string>& document_ids,
                                            const Projection& projection) = 0;  // found ones, in the order asked
  virtual Result<ScanResult> scan(const ScanRequest& request) = 0;
  // Calls `visit` per matching row, in no particular order, on the calling thread, until it returns false.
  virtual Status for_each(std::string_view table_id, const Filter& filter, const Projection& projection,
                          const std::function<bool(const Document&)>& visit) = 0;
  virtual Result<uint64_t> count(std::string_view table_id, const Filter& filter) = 0;
  virtual Result<std::vector<FacetValue>> facet(std::string_view table_id, const Filter& filter, const std::string& field,
                                                size_t limit) = 0;  // by count of documents descending, then value
  // Of a cold table from its log, which is looked at anew after follow_interval_us: one round trip. Where other writers' files do not say
  // how many vectors they hold, the table is read.
  virtual Result<TableStats> stats(std::string_view table_id) = 0;

  // Blocks until the table is served from `tier`: in memory, or let go of (but for what a write that runs needs until it is done). On error
  // it is served as before. Reads and writes go on meanwhile.
  virtual Status set_tier(std::string_view table_id, Tier tier) = 0;
  // Frees the memory of an active table that is soon to be dropped, without making anything for the cold tier; reads still find it. Does
  // nothing while something commits on it.
  virtual void release_memory(std::string_view table_id) { (void)table_id; }
  // Of all tables that are known, by table_id. Never blocks on storage.
  virtual std::vector<TableUsage> usage() = 0;

  // Background upkeep, also run by the store itself after writes: follows commits of other writers, compacts small files, writes
  // checkpoints, removes what nothing refers to.
  virtual Status maintain(std::string_view table_id) = 0;
};

}  // namespace quarry::mvs
