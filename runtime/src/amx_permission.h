// Whether this process may use the matrix instructions of AMX.
#pragma once

namespace lrm {

// The processor has AMX with bfloat16, the system saves its state, and, on Linux, this process is
// granted it. Asks for the grant, which holds for the process from then on.
bool amx_permitted();

}  // namespace lrm
