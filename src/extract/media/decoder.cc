#include <fmt/format.h>

#include <condition_variable>

#include "base/executor.h"
#include "base/metrics.h"
#include "extract/extract.h"
#include "extract/media/decode_process.h"
#include "extract/media/decode_protocol.h"
#include "extract/media/decode_reply.h"

namespace quarry::extract {
namespace {

constexpr uint64_t kMaxPdfTextBytes = 64ull << 20;
// A child is replaced after so many files: what its libraries leak stays small.
constexpr int kMaxRequestsPerProcess = 200;

Error extraction(std::string message) { return {ErrorKind::kExtraction, std::move(message)}; }

// A fixed number of places, each with a child that is started when first needed and replaced when it fails.
class ProcessDecoder : public Decoder {
 public:
  explicit ProcessDecoder(Options options) : options_(std::move(options)), places_(std::max<size_t>(options_.processes, 1)) {
    for (Place& place : places_) free_.push_back(&place);
  }

  Result<PdfText> pdf_text(std::string_view bytes) override {
    if (bytes.empty()) return extraction("the PDF is empty");
    // The child holds the file once, and needs the rest for what it makes of it.
    if (bytes.size() > kMaxRequestBytes || bytes.size() > options_.memory_bytes / 2)
      return extraction(fmt::format("the PDF of {} bytes is over the decoder's limit of {}", bytes.size(),
                                    std::min<uint64_t>(kMaxRequestBytes, options_.memory_bytes / 2)));
    json::object request{{"kind", "pdf_text"},
                         {"max_pages", kMaxPdfPages},
                         {"max_text_bytes", kMaxPdfTextBytes},
                         {"cpu_seconds", options_.timeout_ms / 1000 + 1}};
    QUARRY_ASSIGN_OR_RETURN(DecodeProcess::Message reply, run(json::serialize(request), bytes));
    return parse_pdf_reply(reply.header, reply.body);
  }

 private:
  struct Place {
    std::unique_ptr<DecodeProcess> process;
    int requests = 0;
  };

  // Takes a place for as long as it lives; waits for one.
  class Lease {
   public:
    explicit Lease(ProcessDecoder& decoder) : decoder_(decoder) {
      const Waiting for_a_process;
      std::unique_lock lock(decoder_.mutex_);
      decoder_.available_.wait(lock, [&] { return !decoder_.free_.empty(); });
      place_ = decoder_.free_.back();  // the last used: its child is warm
      decoder_.free_.pop_back();
    }
    ~Lease() {
      {
        std::lock_guard lock(decoder_.mutex_);
        decoder_.free_.push_back(place_);
      }
      decoder_.available_.notify_one();
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Place& operator*() { return *place_; }

   private:
    ProcessDecoder& decoder_;
    Place* place_;
  };

  Status prepare(Place& place) {
    if (place.process != nullptr && place.requests < kMaxRequestsPerProcess && place.process->is_idle()) return Ok{};
    place.process.reset();
    place.requests = 0;
    QUARRY_ASSIGN_OR_RETURN(place.process, DecodeProcess::start(options_.program, options_.memory_bytes));
    return Ok{};
  }

  Result<DecodeProcess::Message> run(std::string_view header, std::string_view body) {
    static prometheus::Counter& failures =
        metrics::counter("quarry_decoder_failures_total", "Decoder processes that crashed, hung or broke the protocol");
    Lease lease(*this);
    Place& place = *lease;
    QUARRY_RETURN_IF_ERROR(prepare(place));
    ++place.requests;
    auto reply = place.process->exchange(header, body, options_.timeout_ms);
    if (!reply.ok()) {
      place.process.reset();
      failures.Increment();
    }
    return reply;
  }

  const Options options_;
  std::vector<Place> places_;
  std::mutex mutex_;
  std::condition_variable available_;
  std::vector<Place*> free_;
};

}  // namespace

std::unique_ptr<Decoder> Decoder::make(Options options) { return std::make_unique<ProcessDecoder>(std::move(options)); }

}  // namespace quarry::extract
