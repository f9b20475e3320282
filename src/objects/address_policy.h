// Which addresses a URL from outside may lead to.
#pragma once

#include <sys/socket.h>

#include <string>

namespace quarry::objects {

// False for whatever is not the public internet: this host, link-local, private, shared, unique-local, multicast, documentation,
// benchmarking and reserved ranges (IANA's special-purpose registries), and IPv6 forms that carry such an IPv4 address (mapped, NAT64,
// 6to4) or hide one (Teredo). Only AF_INET and AF_INET6 are public at all.
bool is_public_address(const sockaddr& address);

// "192.0.2.1" or "2001:db8::1"; for messages.
std::string format_address(const sockaddr& address);

}  // namespace quarry::objects
