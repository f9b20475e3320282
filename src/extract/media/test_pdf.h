// PDFs made for tests: one line of text a page, in a standard font.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

namespace quarry::extract {

class TestPdf {
 public:
  explicit TestPdf(const std::vector<std::string>& pages, std::string trailer_extra = "") {
    std::string kids;
    for (size_t i = 0; i < pages.size(); ++i) kids += fmt::format("{} 0 R ", 4 + 2 * i);
    out_ = "%PDF-1.4\n";
    add("<< /Type /Catalog /Pages 2 0 R >>");
    add(fmt::format("<< /Type /Pages /Kids [{}] /Count {} >>", kids, pages.size()));
    add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>");
    for (size_t i = 0; i < pages.size(); ++i) {
      add(fmt::format("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {} 0 R /Resources << /Font << /F1 3 0 R >> >> >>",
                      5 + 2 * i));
      std::string content = pages[i].empty() ? "" : fmt::format("BT /F1 12 Tf 50 700 Td ({}) Tj ET", pages[i]);
      add(fmt::format("<< /Length {} >>\nstream\n{}\nendstream", content.size(), content));
    }
    add("<< /Title (A test) /Author (Nobody) /CreationDate (D:20240102030405Z) >>");
    finish(trailer_extra);
  }
  const std::string& bytes() const { return out_; }

 private:
  void add(const std::string& body) {
    offsets_.push_back(out_.size());
    out_ += fmt::format("{} 0 obj\n{}\nendobj\n", offsets_.size(), body);
  }
  void finish(const std::string& extra) {
    const size_t table = out_.size();
    out_ += fmt::format("xref\n0 {}\n0000000000 65535 f \n", offsets_.size() + 1);
    for (size_t offset : offsets_) out_ += fmt::format("{:010} 00000 n \n", offset);
    out_ += fmt::format("trailer\n<< /Size {} /Root 1 0 R /Info {} 0 R {} >>\nstartxref\n{}\n%%EOF\n", offsets_.size() + 1, offsets_.size(),
                        extra, table);
  }

  std::string out_;
  std::vector<size_t> offsets_;
};

// A standard security handler whose user password is not empty.
inline std::string test_encryption() {
  const std::string key(32, 'k');
  return fmt::format("/Encrypt << /Filter /Standard /V 1 /R 2 /O ({}) /U ({}) /P -4 >> /ID [(0123456789abcdef) (0123456789abcdef)]", key,
                     key);
}

}  // namespace quarry::extract
