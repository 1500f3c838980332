# SPDX-License-Identifier: Apache-2.0
# cmake -DCOMPILER=<c++> -DCLANG=<clang++ or empty> -DFLAGS=<file> -DSOURCES=<file;...> -DREPEATING=<file> -DFOLDER=<scratch> -P measure.cmake
# Prints the CPU seconds that each source takes to compile, and their ratio to those of the first one: the median of three runs in turn, without
# optimisation, with -O2, and with -O2 for gshard::compiled. Then the size of its code at -O2, and how much of it is functions that another one repeats
# with other template arguments; of REPEATING at -O1 as well. Where there is a Clang, also how many templates it instantiates (-ftime-trace), which does
# not depend on the machine.
cmake_minimum_required(VERSION 3.25)

set(runs 3)
set(ENV{CCACHE_DISABLE} 1)
file(STRINGS "${FLAGS}" flags)
file(MAKE_DIRECTORY "${FOLDER}")

# cpu_microseconds(<variable> <command>...): of the user and of the system, as the shell's `times` tells of its children.
function(cpu_microseconds variable)
  execute_process(COMMAND sh -c "\"$@\" && times" sh ${ARGN} OUTPUT_VARIABLE times COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "\n([0-9]+)m([0-9]+)\\.([0-9]+)s ([0-9]+)m([0-9]+)\\.([0-9]+)s" match "${times}")
  set(sum 0)
  foreach(i IN ITEMS 1 4)
    math(EXPR seconds_at "${i} + 1")
    math(EXPR fraction_at "${i} + 2")
    string(SUBSTRING "${CMAKE_MATCH_${fraction_at}}000000" 0 6 fraction)
    math(EXPR sum "${sum} + 60000000 * ${CMAKE_MATCH_${i}} + 1000000 * ${CMAKE_MATCH_${seconds_at}} + 1${fraction} - 1000000")
  endforeach()
  set(${variable} ${sum} PARENT_SCOPE)
endfunction()

# print_code_size(<name> <object file>): functions are of one family where their names are the same without template arguments.
function(print_code_size name object)
  execute_process(
    COMMAND nm --print-size --demangle "${object}"
    COMMAND sed -nE "s/^[0-9a-f]+ ([0-9a-f]+) [tTwW] /\\1 /p"
    COMMAND sed -E ":inner; s/<[^<>]*>//g; t inner"
    COMMAND awk "
      function number(hex,   i, n) { n = 0; for (i = 1; i <= length(hex); ++i) n = 16 * n + index(\"0123456789abcdef\", substr(hex, i, 1)) - 1; return n }
      { size = number($1); $1 = \"\"; all += size; ++functions; if (size > largest[$0]) largest[$0] = size }
      END { for (family in largest) { once += largest[family]; ++families }
            printf \"%d functions of %d families, %d KiB of code, of which %d KiB repeat\", functions, families, all / 1024, (all - once) / 1024 }"
    OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
  message("${name}: ${text}")
endfunction()

function(hundredths variable numerator denominator)
  math(EXPR ratio "(100 * ${numerator} + ${denominator} / 2) / ${denominator}")
  math(EXPR whole "${ratio} / 100")
  math(EXPR rest "${ratio} % 100 + 100")
  string(SUBSTRING "${rest}" 1 2 rest)
  set(${variable} "${whole}.${rest}" PARENT_SCOPE)
endfunction()

# The file's own name, or that of its folder where it is called main.
function(name_of variable source)
  cmake_path(GET source STEM name)
  if(name STREQUAL "main")
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(GET folder FILENAME name)
  endif()
  set(${variable} ${name} PARENT_SCOPE)
endfunction()

# The last: as programs that link gshard::compiled.
foreach(setting IN ITEMS "-O0" "-O2" "-O2 -DGSHARD_USE_COMPILED")
  separate_arguments(options UNIX_COMMAND "${setting}")
  foreach(run RANGE 1 ${runs})
    foreach(source IN LISTS SOURCES)
      name_of(name "${source}")
      cpu_microseconds(elapsed "${COMPILER}" ${flags} ${options} -c "${source}" -o "${FOLDER}/${name}${setting}.o")
      list(APPEND "times ${source}" ${elapsed})
    endforeach()
  endforeach()
  set(first)
  foreach(source IN LISTS SOURCES)
    list(SORT "times ${source}" COMPARE NATURAL)
    math(EXPR middle "${runs} / 2")
    list(GET "times ${source}" ${middle} median)
    if(NOT first)
      set(first ${median})
    endif()
    hundredths(seconds ${median} 1000000)
    hundredths(ratio ${median} ${first})
    name_of(name "${source}")
    message("${setting}  ${name}: ${seconds} s, ${ratio} of the first")
    unset("times ${source}")
  endforeach()
endforeach()

foreach(source IN LISTS SOURCES)
  name_of(name "${source}")
  foreach(setting IN ITEMS "-O2" "-O2 -DGSHARD_USE_COMPILED")
    print_code_size("${setting}  ${name}" "${FOLDER}/${name}${setting}.o")
  endforeach()
endforeach()
name_of(name "${REPEATING}")
execute_process(COMMAND "${COMPILER}" ${flags} -O1 -c "${REPEATING}" -o "${FOLDER}/${name}.o" COMMAND_ERROR_IS_FATAL ANY)
print_code_size("-O1  ${name}" "${FOLDER}/${name}.o")

if(NOT CLANG)
  message("no clang++: instantiations are not counted")
  return()
endif()
foreach(source IN LISTS SOURCES)
  execute_process(COMMAND "${CLANG}" ${flags} -O0 -ftime-trace -c "${source}" -o "${FOLDER}/object.o" COMMAND_ERROR_IS_FATAL ANY)
  file(READ "${FOLDER}/object.json" trace)
  foreach(kind IN ITEMS Class Function)
    string(REGEX MATCH "\"name\":\"Total Instantiate${kind}\",\"args\":{\"count\":([0-9]+)" match "${trace}")
    set(${kind} "${CMAKE_MATCH_1}")
  endforeach()
  name_of(name "${source}")
  message("${name}: ${Class} classes and ${Function} functions instantiated")
endforeach()
