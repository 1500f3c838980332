// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <mpi.h>

#include <gshard/core/error.hpp>

// Wrappers of MPI calls. The communicators of gshard return errors instead of aborting, and every return code is
// checked.

namespace gshard::detail {

/// Returns the text of a failed MPI call as "MPI_Allreduce failed: MPI_ERR_TRUNCATE: message truncated".
inline std::string text_of_failure(int code, std::string_view call) {
  char words[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  if (MPI_Error_string(code, words, &length) != MPI_SUCCESS) length = 0;
  return concat(call, " failed: ",
                length > 0 ? std::string(words, static_cast<std::size_t>(length)) : concat("error code ", code));
}

/// Throws CommunicationError with MPI's text unless `code`, the result of `call`, is MPI_SUCCESS.
inline void require_mpi(int code, std::string_view call) {
  if (code != MPI_SUCCESS) throw CommunicationError(text_of_failure(code, call));
}

/// Prints the failure of a call unless `code` is MPI_SUCCESS; for destructors, which cannot throw.
inline void report_mpi(int code, std::string_view call) {
  if (code != MPI_SUCCESS) std::fputs(concat("gshard: ", text_of_failure(code, call), "\n").c_str(), stderr);
}

/// Sets the error handler of a communicator of gshard to MPI_ERRORS_RETURN, and returns the communicator.
/// A duplicate inherits the handler of the program's communicator, which aborts by default.
inline MPI_Comm returning_errors(MPI_Comm communicator) {
  require_mpi(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return communicator;
}

/// Duplicates a communicator; the duplicate returns errors. Collective.
inline MPI_Comm duplicate(MPI_Comm communicator) {
  MPI_Comm result = MPI_COMM_NULL;
  require_mpi(MPI_Comm_dup(communicator, &result), "MPI_Comm_dup");
  return returning_errors(result);
}

/// Makes a communicator of the given ranks of `parent`, in the given order.
/// Communication: collective over `ranks` only. Calls that run at the same time must have different tags.
inline MPI_Comm communicator_of(MPI_Comm parent, std::vector<int> const& ranks, int tag) {
  MPI_Group all = MPI_GROUP_NULL;
  MPI_Group some = MPI_GROUP_NULL;
  MPI_Comm result = MPI_COMM_NULL;
  require_mpi(MPI_Comm_group(parent, &all), "MPI_Comm_group");
  require_mpi(MPI_Group_incl(all, static_cast<int>(ranks.size()), ranks.data(), &some), "MPI_Group_incl");
  require_mpi(MPI_Comm_create_group(parent, some, tag, &result), "MPI_Comm_create_group");
  require_mpi(MPI_Group_free(&some), "MPI_Group_free");
  require_mpi(MPI_Group_free(&all), "MPI_Group_free");
  return returning_errors(result);
}

/// Returns whether MPI is initialized and not finalized.
inline bool mpi_is_running() {
  int started = 0;
  int ended = 0;
  require_mpi(MPI_Initialized(&started), "MPI_Initialized");
  require_mpi(MPI_Finalized(&ended), "MPI_Finalized");
  return started != 0 && ended == 0;
}

/// Frees a communicator, unless it is MPI_COMM_NULL or MPI is finalized. Collective.
inline void free_communicator(MPI_Comm& communicator) noexcept {
  int ended = 0;
  if (communicator != MPI_COMM_NULL && MPI_Finalized(&ended) == MPI_SUCCESS && ended == 0)
    report_mpi(MPI_Comm_free(&communicator), "MPI_Comm_free");
}

/// Owner of a duplicate of a communicator. Construction and destruction are collective.
class Communicator {
 public:
  explicit Communicator(MPI_Comm of) : communicator_(duplicate(of)) {}
  Communicator(Communicator const&) = delete;
  Communicator& operator=(Communicator const&) = delete;
  ~Communicator() { free_communicator(communicator_); }
  MPI_Comm get() const { return communicator_; }

 private:
  MPI_Comm communicator_;
};

/// Waits for all requests and clears the vector.
/// Throws CommunicationError with the first error of a request.
inline void wait_for_all(std::vector<MPI_Request>& requests) {
  std::vector<MPI_Status> statuses(requests.size());
  int const code = MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses.data());
  requests.clear();
  if (code == MPI_ERR_IN_STATUS)
    for (MPI_Status const& status : statuses)
      // A pending request has not failed itself: skipped to report the one that has.
      if (status.MPI_ERROR != MPI_ERR_PENDING) require_mpi(status.MPI_ERROR, "MPI_Waitall");
  require_mpi(code, "MPI_Waitall");
}

}  // namespace gshard::detail
