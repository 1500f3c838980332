// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <mpi.h>

#include <gshard/core/error.hpp>

// How gshard calls MPI: its communicators return errors, and each code that MPI returns is looked at.

namespace gshard::detail {

/// The failure of an MPI call as "MPI_Allreduce failed: MPI_ERR_TRUNCATE: message truncated".
inline std::string text_of_failure(int code, std::string_view call) {
  char words[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  if (MPI_Error_string(code, words, &length) != MPI_SUCCESS) length = 0;
  return concat(call, " failed: ",
                length > 0 ? std::string(words, static_cast<std::size_t>(length)) : concat("error code ", code));
}

/// Throws CommunicationError with MPI's text unless `code`, which `call` returned, is MPI_SUCCESS.
inline void require_mpi(int code, std::string_view call) {
  if (code != MPI_SUCCESS) throw CommunicationError(text_of_failure(code, call));
}

/// Prints the failure of a call in a destructor, which cannot throw.
inline void report_mpi(int code, std::string_view call) {
  if (code != MPI_SUCCESS) std::fputs(concat("gshard: ", text_of_failure(code, call), "\n").c_str(), stderr);
}

/// Makes a communicator that is gshard's own return errors; it inherits the handler of the program's.
inline MPI_Comm returning_errors(MPI_Comm communicator) {
  require_mpi(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return communicator;
}

/// Duplicates a communicator. Collective.
inline MPI_Comm duplicate(MPI_Comm communicator) {
  MPI_Comm result = MPI_COMM_NULL;
  require_mpi(MPI_Comm_dup(communicator, &result), "MPI_Comm_dup");
  return returning_errors(result);
}

/// Makes a communicator of some ranks of `parent`, in this order. Collective over these ranks alone; where several are
/// made at a time, their tags tell them apart.
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

/// Whether MPI can be called: started, and not ended yet.
inline bool mpi_is_running() {
  int started = 0;
  int ended = 0;
  require_mpi(MPI_Initialized(&started), "MPI_Initialized");
  require_mpi(MPI_Finalized(&ended), "MPI_Finalized");
  return started != 0 && ended == 0;
}

/// Frees a communicator, unless it is none or MPI has ended. Collective.
inline void free_communicator(MPI_Comm& communicator) noexcept {
  int ended = 0;
  if (communicator != MPI_COMM_NULL && MPI_Finalized(&ended) == MPI_SUCCESS && ended == 0)
    report_mpi(MPI_Comm_free(&communicator), "MPI_Comm_free");
}

/// A duplicate of a communicator, freed with it. Making and freeing it is collective.
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

/// Waits for all requests, and ends them.
inline void wait_for_all(std::vector<MPI_Request>& requests) {
  std::vector<MPI_Status> statuses(requests.size());
  int const code = MPI_Waitall(static_cast<int>(requests.size()), requests.data(), statuses.data());
  requests.clear();
  if (code == MPI_ERR_IN_STATUS)
    for (MPI_Status const& status : statuses)
      if (status.MPI_ERROR != MPI_ERR_PENDING) require_mpi(status.MPI_ERROR, "MPI_Waitall");
  require_mpi(code, "MPI_Waitall");
}

}  // namespace gshard::detail
