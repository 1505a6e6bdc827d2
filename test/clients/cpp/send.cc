// Sends bytes that were encoded elsewhere with gRPC's C++ client, all at once on one channel, and says how each call ended.
//
//   send TARGET METHOD [--compression gzip|deflate] [--deadline-ms N] [--keepalive-ms N] [--idle-ms N] FILE...
//
// With --idle-ms it sends all files, waits with the connection open, and sends them again. On stdout a JSON array with one
// object a call: {"code": 0, "message": "…", "details": "hex of google.rpc.Status", "answer": "hex of the response"}, and
// last one with the channel's state before the second round: {"state": 2} (2 is READY).

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Call {
  grpc::ClientContext context;
  grpc::ByteBuffer answer;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
};

std::string hex(const std::string& bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (unsigned char byte : text) {
    if (byte == '"' || byte == '\\') json += '\\';
    json += byte < 0x20 ? ' ' : static_cast<char>(byte);
  }
  return json + '"';
}

std::string bytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return "";
  std::string bytes;
  for (const auto& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

struct Options {
  grpc_compression_algorithm compression = GRPC_COMPRESS_NONE;
  int deadlineMs = 30000;
  int keepaliveMs = 0;
  int idleMs = 0;
  std::vector<std::string> bodies;
};

void round(grpc::GenericStub& stub, grpc::CompletionQueue& queue, const std::string& method, const Options& options,
           const char*& separator) {
  std::vector<std::unique_ptr<Call>> calls;
  for (const auto& body : options.bodies) {
    auto call = std::make_unique<Call>();
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(options.deadlineMs));
    call->context.set_compression_algorithm(options.compression);
    grpc::Slice slice(body);
    call->reader = stub.PrepareUnaryCall(&call->context, method, grpc::ByteBuffer(&slice, 1), &queue);
    call->reader->StartCall();
    call->reader->Finish(&call->answer, &call->status, call.get());
    calls.push_back(std::move(call));
  }
  void* tag = nullptr;
  bool ok = false;
  for (std::size_t ended = 0; ended < calls.size() && queue.Next(&tag, &ok); ended++) {
  }
  for (const auto& call : calls) {
    std::cout << separator << "{\"code\":" << call->status.error_code()
              << ",\"message\":" << quoted(call->status.error_message()) << ",\"details\":\""
              << hex(call->status.error_details()) << "\",\"answer\":\"" << hex(bytesOf(call->answer)) << "\"}";
    separator = ",\n ";
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    std::cerr << "expected a target, a method and files\n";
    return 2;
  }
  Options options;
  for (int i = 3; i < count; i++) {
    const std::string argument = arguments[i];
    const bool named = argument.rfind("--", 0) == 0;
    if (named && i + 1 == count) return 2;
    if (argument == "--compression") {
      const std::string name = arguments[++i];
      options.compression = name == "gzip" ? GRPC_COMPRESS_GZIP : name == "deflate" ? GRPC_COMPRESS_DEFLATE : GRPC_COMPRESS_NONE;
    } else if (argument == "--deadline-ms") {
      options.deadlineMs = std::atoi(arguments[++i]);
    } else if (argument == "--keepalive-ms") {
      options.keepaliveMs = std::atoi(arguments[++i]);
    } else if (argument == "--idle-ms") {
      options.idleMs = std::atoi(arguments[++i]);
    } else {
      std::ifstream file(argument, std::ios::binary);
      if (!file) {
        std::cerr << argument << " cannot be read\n";
        return 2;
      }
      options.bodies.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  grpc::ChannelArguments channelArguments;
  channelArguments.SetMaxSendMessageSize(-1);
  if (options.keepaliveMs > 0) {
    channelArguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, options.keepaliveMs);
    channelArguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2000);
    channelArguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    channelArguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    channelArguments.SetInt(GRPC_ARG_HTTP2_MIN_SENT_PING_INTERVAL_WITHOUT_DATA_MS, options.keepaliveMs);
  }
  auto channel = grpc::CreateCustomChannel(arguments[1], grpc::InsecureChannelCredentials(), channelArguments);
  grpc::GenericStub stub(channel);
  const char* separator = "[";
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  round(stub, queue, arguments[2], options, separator);
  if (options.idleMs > 0) {
    // The library reads its connections on the thread that waits for calls.
    queue.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + std::chrono::milliseconds(options.idleMs));
    const int state = channel->GetState(false);
    round(stub, queue, arguments[2], options, separator);
    std::cout << separator << "{\"state\":" << state << "}";
  }
  std::cout << "]\n";
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return 0;
}
