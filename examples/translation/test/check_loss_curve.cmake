# SPDX-License-Identifier: Apache-2.0
# cmake -DFILE=<csv> -P check_loss_curve.cmake: the head line and five steps.
file(STRINGS "${FILE}" lines)
list(LENGTH lines count)
list(GET lines 0 head)
list(GET lines -1 last)
if(NOT count EQUAL 6 OR NOT head STREQUAL "step,seconds,loss,balance_loss,gradient_norm,target_tokens" OR NOT last MATCHES "^5,[0-9.e-]+,[0-9.]+,[0-9.]+,[0-9.]+,[0-9]+$")
  message(FATAL_ERROR "${FILE} is not a loss curve of 5 steps:\n${lines}")
endif()
