// SPDX-License-Identifier: Apache-2.0
// Calls of MPI that fail: each is an exception with the name of the call and MPI's text, on communicators that return
// errors whatever the program's own do.
#include "mpi_test.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <mpi.h>

#include <gshard/comm.hpp>

namespace {

std::string_view failing;
int communicators_made = 0;

/// What MPI says of a call, which is carried out in any case: nothing is left over.
int result_of(std::string_view call, int code) { return call == failing ? MPI_ERR_OTHER : code; }

}  // namespace

// The profiling interface of MPI: these stand before its own. The names and parameters are MPI's.
extern "C" {

int MPI_Allreduce(void const* send, void* receive, int count, MPI_Datatype type, MPI_Op operation,
                  MPI_Comm communicator) {
  return result_of("MPI_Allreduce", PMPI_Allreduce(send, receive, count, type, operation, communicator));
}
int MPI_Allgatherv(void const* send, int count, MPI_Datatype send_type, void* receive, int const* counts,
                   int const* offsets, MPI_Datatype type, MPI_Comm communicator) {
  return result_of("MPI_Allgatherv",
                   PMPI_Allgatherv(send, count, send_type, receive, counts, offsets, type, communicator));
}
int MPI_Alltoallv(void const* send, int const* send_counts, int const* send_offsets, MPI_Datatype send_type,
                  void* receive, int const* counts, int const* offsets, MPI_Datatype type, MPI_Comm communicator) {
  return result_of("MPI_Alltoallv", PMPI_Alltoallv(send, send_counts, send_offsets, send_type, receive, counts, offsets,
                                                   type, communicator));
}
int MPI_Reduce_scatter(void const* send, void* receive, int const* counts, MPI_Datatype type, MPI_Op operation,
                       MPI_Comm communicator) {
  return result_of("MPI_Reduce_scatter", PMPI_Reduce_scatter(send, receive, counts, type, operation, communicator));
}
int MPI_Reduce(void const* send, void* receive, int count, MPI_Datatype type, MPI_Op operation, int root,
               MPI_Comm communicator) {
  return result_of("MPI_Reduce", PMPI_Reduce(send, receive, count, type, operation, root, communicator));
}
int MPI_Isend(void const* send, int count, MPI_Datatype type, int destination, int tag, MPI_Comm communicator,
              MPI_Request* request) {
  return result_of("MPI_Isend", PMPI_Isend(send, count, type, destination, tag, communicator, request));
}
int MPI_Irecv(void* receive, int count, MPI_Datatype type, int source, int tag, MPI_Comm communicator,
              MPI_Request* request) {
  return result_of("MPI_Irecv", PMPI_Irecv(receive, count, type, source, tag, communicator, request));
}
int MPI_Waitall(int count, MPI_Request* requests, MPI_Status* statuses) {
  return result_of("MPI_Waitall", PMPI_Waitall(count, requests, statuses));
}
int MPI_Comm_dup(MPI_Comm communicator, MPI_Comm* result) {
  return result_of("MPI_Comm_dup", PMPI_Comm_dup(communicator, result));
}
int MPI_Comm_group(MPI_Comm communicator, MPI_Group* result) {
  return result_of("MPI_Comm_group", PMPI_Comm_group(communicator, result));
}
int MPI_Group_incl(MPI_Group group, int count, int const* ranks, MPI_Group* result) {
  return result_of("MPI_Group_incl", PMPI_Group_incl(group, count, ranks, result));
}
int MPI_Group_free(MPI_Group* group) { return result_of("MPI_Group_free", PMPI_Group_free(group)); }
int MPI_Comm_create_group(MPI_Comm communicator, MPI_Group group, int tag, MPI_Comm* result) {
  ++communicators_made;
  return result_of("MPI_Comm_create_group", PMPI_Comm_create_group(communicator, group, tag, result));
}
int MPI_Comm_set_errhandler(MPI_Comm communicator, MPI_Errhandler handler) {
  return result_of("MPI_Comm_set_errhandler", PMPI_Comm_set_errhandler(communicator, handler));
}
int MPI_Type_contiguous(int count, MPI_Datatype type, MPI_Datatype* result) {
  return result_of("MPI_Type_contiguous", PMPI_Type_contiguous(count, type, result));
}
int MPI_Type_commit(MPI_Datatype* type) { return result_of("MPI_Type_commit", PMPI_Type_commit(type)); }
int MPI_Op_create(MPI_User_function* function, int commutes, MPI_Op* result) {
  return result_of("MPI_Op_create", PMPI_Op_create(function, commutes, result));
}

}  // extern "C"

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;

struct Larger {
  static void combine(long double& into, long double other) { into = other > into ? other : into; }
};

MPI_Errhandler handler_of(MPI_Comm communicator) {
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  MPI_Comm_get_errhandler(communicator, &handler);
  return handler;
}

}  // namespace

TEST_CASE("every call that fails is named in an exception, with MPI's text") {
  Line const mesh(runtime(), {ranks()});
  Group const& group = mesh.group<"x">();
  std::vector<double> from(8, 1.0), to(8);
  std::vector<std::int64_t> const counts(static_cast<std::size_t>(ranks()), 1);
  int const next = (rank() + 1) % ranks();
  int const last = (rank() + ranks() - 1) % ranks();
  long double value = 1;
  auto const exchange = [&](std::int64_t limit) {
    comm::all_to_all<double>(group, from.data(), comm::Parts(counts), to.data(), comm::Parts(counts), 8, limit);
  };
  auto const permute = [&] { comm::permute<double>(group, from.data(), 1, next, to.data(), 1, last); };
  auto const reduce_by = [&] { comm::all_reduce_by<Larger>(group, &value, 1); };
  auto const use_new_mesh = [] { Line(runtime(), {ranks()}).group<"x">().communicator(); };
  struct Case {
    char const* call;
    std::function<void()> action;
  };
  for (Case const& c : std::vector<Case>{
           {"MPI_Allreduce", [&] { comm::all_reduce(group, from.data(), 1); }},
           {"MPI_Allreduce", reduce_by},
           {"MPI_Allgatherv", [&] { comm::all_gather<double>(group, from.data(), to.data(), counts); }},
           {"MPI_Alltoallv", [&] { exchange(comm::largest_count); }},
           {"MPI_Waitall", [&] { exchange(1); }},
           {"MPI_Reduce_scatter", [&] { comm::reduce_scatter<double>(group, from.data(), to.data(), counts); }},
           {"MPI_Reduce", [&] { comm::reduce_scatter<double>(group, from.data(), to.data(), counts, 1); }},
           {"MPI_Isend",
            [&] {
              comm::permute<double>(group, from.data(), 1, rank() == 0 ? next : comm::no_rank, to.data(), 1,
                                    rank() == 1 ? last : comm::no_rank);
            }},
           {"MPI_Waitall", permute},
           {"MPI_Type_contiguous", reduce_by},
           {"MPI_Type_commit", reduce_by},
           {"MPI_Op_create", reduce_by},
           {"MPI_Comm_dup", [&] { Runtime const another(runtime().communicator()); }},
           {"MPI_Comm_set_errhandler", [&] { Runtime const another(runtime().communicator()); }},
           {"MPI_Comm_group", use_new_mesh},
           {"MPI_Group_incl", use_new_mesh},
           {"MPI_Group_free", use_new_mesh},
           {"MPI_Comm_create_group", use_new_mesh}}) {
    INFO("call: ", c.call);
    bool const takes_part = std::string_view(c.call) != "MPI_Isend" || rank() == 0;
    CHECK_NOTHROW(c.action());
    failing = c.call;
    std::string text = "nothing thrown";
    try {
      c.action();
    } catch (CommunicationError const& error) {
      text = error.what();
    }
    failing = {};
    CHECK(text.starts_with(takes_part ? std::string(c.call) + " failed: MPI_ERR_OTHER" : "nothing thrown"));
  }
}

TEST_CASE("communicators of gshard return errors; those of the program keep their handler") {
  MPI_Errhandler const before = handler_of(MPI_COMM_WORLD);
  Runtime const another(MPI_COMM_WORLD);
  Line const mesh(runtime(), {ranks()});
  CHECK(handler_of(another.communicator()) == MPI_ERRORS_RETURN);
  CHECK(handler_of(mesh.group<"x">().communicator()) == MPI_ERRORS_RETURN);
  CHECK(handler_of(mesh.group<>().communicator()) == MPI_ERRORS_RETURN);
  CHECK(handler_of(MPI_COMM_WORLD) == before);
  CHECK(handler_of(MPI_COMM_SELF) != MPI_ERRORS_RETURN);
}

TEST_CASE("a mesh makes the communicator of a group when it is first used, once for all copies of the mesh") {
  using Cube = Mesh<Axis<"x">, Axis<"y">, Axis<"z">>;
  int const before = communicators_made;
  Cube const mesh(runtime(), {ranks(), 1, 1});
  CHECK(mesh.group<"x">().size == ranks());
  CHECK(mesh.group<"x">().axes == "x");
  CHECK(communicators_made == before);
  double value = 1;
  for (int i = 0; i < 3; ++i) comm::all_reduce(Cube(mesh).group<"x">(), &value, 1);
  CHECK(communicators_made == before + 1);
  CHECK(mesh.group<"x">().communicator() != mesh.group<"x", "z">().communicator());
  CHECK(communicators_made == before + 2);
}
