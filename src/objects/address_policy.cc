#include "objects/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace quarry::objects {
namespace {

struct Range4 {
  uint32_t prefix;
  int bits;
};

constexpr uint32_t v4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return a << 24 | b << 16 | c << 8 | d; }

constexpr Range4 kNotPublic4[] = {
    {v4(0, 0, 0, 0), 8},     {v4(10, 0, 0, 0), 8},      {v4(100, 64, 0, 0), 10},  {v4(127, 0, 0, 0), 8},    {v4(169, 254, 0, 0), 16},
    {v4(172, 16, 0, 0), 12}, {v4(192, 0, 0, 0), 24},    {v4(192, 0, 2, 0), 24},   {v4(192, 88, 99, 0), 24}, {v4(192, 168, 0, 0), 16},
    {v4(198, 18, 0, 0), 15}, {v4(198, 51, 100, 0), 24}, {v4(203, 0, 113, 0), 24}, {v4(224, 0, 0, 0), 4},    {v4(240, 0, 0, 0), 4},
};

bool is_public4(uint32_t address) {
  for (const Range4& range : kNotPublic4)
    if ((address ^ range.prefix) >> (32 - range.bits) == 0) return false;
  return true;
}

using Bytes6 = std::array<uint8_t, 16>;

bool has_prefix(const Bytes6& address, const Bytes6& prefix, int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  if (std::memcmp(address.data(), prefix.data(), whole) != 0) return false;
  return bits % 8 == 0 || (address[whole] ^ prefix[whole]) >> (8 - bits % 8) == 0;
}

uint32_t embedded4(const Bytes6& address, size_t at) { return v4(address[at], address[at + 1], address[at + 2], address[at + 3]); }

bool is_public6(const Bytes6& a) {
  constexpr Bytes6 kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, kNat64{0, 0x64, 0xFF, 0x9B}, k6to4{0x20, 0x02};
  if (has_prefix(a, kMapped, 96)) return is_public4(embedded4(a, 12));
  if (has_prefix(a, kNat64, 96)) return is_public4(embedded4(a, 12));
  if (has_prefix(a, k6to4, 16)) return is_public4(embedded4(a, 2));
  constexpr Bytes6 kGlobalUnicast{0x20}, kIetfAssignments{0x20, 0x01}, kDocumentation{0x20, 0x01, 0x0D, 0xB8}, kDocumentation2{0x3F, 0xFF};
  if (!has_prefix(a, kGlobalUnicast, 3)) return false;
  return !has_prefix(a, kIetfAssignments, 23) && !has_prefix(a, kDocumentation, 32) && !has_prefix(a, kDocumentation2, 20);
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    return is_public4(ntohl(in.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return false;
  sockaddr_in6 in{};
  std::memcpy(&in, &address, sizeof in);
  Bytes6 bytes;
  std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
  return is_public6(bytes);
}

std::string format_address(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
  } else if (address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
  }
  return text;
}

}  // namespace quarry::objects
