!> A client of lbfgsd in Fortran 2008, over the client in C.
!>
!> Compile it with lbfgsd_client_implementation.c, and link with -lcurl. README.md beside this file
!> has examples; lbfgsd_client.h describes each call.
!>
!> The procedures have the optional arguments `stat` and `errmsg`, as `allocate` has them: an error
!> without `stat` stops the program with its message. `last_error` has the details.
!>
!> SPDX-License-Identifier: Apache-2.0
module lbfgsd_client
    use, intrinsic :: iso_c_binding
    use, intrinsic :: iso_fortran_env, only: error_unit, int64, real32, real64
    implicit none
    private

    public :: lbfgsd_client_t, lbfgsd_error_t, lbfgsd_label_t, lbfgsd_minimum_t, lbfgsd_objective
    public :: lbfgsd_result_t, lbfgsd_turn_t

    !> Values of `stat`.
    integer, parameter, public :: lbfgsd_ok = 0, lbfgsd_no_memory = 1, lbfgsd_invalid_argument = 2
    integer, parameter, public :: lbfgsd_connection_failed = 3, lbfgsd_problem = 4
    integer, parameter, public :: lbfgsd_bad_reply = 5, lbfgsd_interrupted = 6
    !> The precision of a session.
    integer, parameter, public :: lbfgsd_float64 = 0, lbfgsd_float32 = 1
    !> States of a session.
    integer, parameter, public :: lbfgsd_idle = 0, lbfgsd_evaluating = 1, lbfgsd_awaiting_hook = 2

    !> An error of the last call of a client. `code` is what `stat` gets.
    type :: lbfgsd_error_t
        integer :: code = lbfgsd_ok
        integer :: http_status = 0
        character(len=:), allocatable :: type, title, detail, field, reason, message
    end type

    type :: lbfgsd_label_t
        character(len=:), allocatable :: key, value
    end type

    !> The end of a step. Numbers that the server does not give are NaN, counts -1.
    type :: lbfgsd_result_t
        character(len=:), allocatable :: reason
        logical :: converged = .false.
        real(real64) :: loss_before = 0, loss = 0
        real(real64) :: gradient_norm_inf = 0, projected_gradient_norm_inf = 0
        integer(int64) :: iterations = 0, evaluations = 0, active_bounds = 0
    end type

    !> The position of a session, and what it waits for.
    type :: lbfgsd_turn_t
        character(len=:), allocatable :: session, etag
        integer :: state = lbfgsd_idle
        integer :: dtype = lbfgsd_float64
        integer(int64) :: step = 0
        !> The number to tell; 0 if no evaluation is pending.
        integer(int64) :: evaluation = 0
        !> The point, in double precision in float32 sessions too.
        real(real64), allocatable :: x(:)
        logical :: replayed = .false.
        logical :: has_result = .false.
        type(lbfgsd_result_t) :: result
    end type

    type :: lbfgsd_minimum_t
        real(real64), allocatable :: x(:)
        type(lbfgsd_result_t) :: result
        !> It stays on the server until it is deleted.
        character(len=:), allocatable :: session
        !> Calls of the objective.
        integer(int64) :: calls = 0
    end type

    abstract interface
        !> Computes the loss and its gradient at x. `status` is 0, or positive where the loss is
        !> undefined, or negative to end the run.
        subroutine lbfgsd_objective(x, loss, gradient, status)
            import :: real64
            real(real64), intent(in) :: x(:)
            real(real64), intent(out) :: loss
            real(real64), intent(out) :: gradient(:)
            integer, intent(out) :: status
        end subroutine
    end interface

    !> A client of one server. It is used by one thread at a time, and not copied.
    type :: lbfgsd_client_t
        private
        type(c_ptr) :: handle = c_null_ptr
    contains
        procedure :: open => client_open
        procedure :: close => client_close
        procedure :: last_error => client_last_error
        procedure :: create => client_create
        procedure :: delete => client_delete
        procedure :: begin => client_begin
        procedure :: ask => client_ask
        procedure :: tell => client_tell
        procedure :: tell_failed => client_tell_failed
        procedure :: stop => client_stop
        procedure :: get_parameters => client_get_parameters
        procedure :: set_parameters => client_set_parameters
        procedure :: checkpoint => client_checkpoint
        procedure :: restore => client_restore
        procedure :: fork => client_fork
        procedure :: request => client_request
        procedure :: minimize => client_minimize
        procedure :: resume => client_resume
        final :: client_finalize
    end type

    integer, parameter :: id_size = 32

    ! The types of lbfgsd_client.h.

    type, bind(c) :: c_settings
        type(c_ptr) :: url, token, unix_socket, ca_file
        real(c_double) :: timeout, deadline, first_deadline, pause_initial, pause_max
    end type

    type, bind(c) :: c_error
        integer(c_int) :: code, http_status
        character(kind=c_char) :: type(64), title(128), detail(512), field(128), reason(256)
        character(kind=c_char) :: message(1024)
    end type

    type, bind(c) :: c_new_session
        integer(c_size_t) :: n
        type(c_ptr) :: x0, lower, upper, l1
        integer(c_int) :: dtype
        type(c_ptr) :: options, name, labels
    end type

    type, bind(c) :: c_result
        character(kind=c_char) :: reason(32)
        integer(c_int) :: converged
        real(c_double) :: loss_before, loss, gradient_norm_inf, projected_gradient_norm_inf
        integer(c_long_long) :: iterations, evaluations, active_bounds
    end type

    type, bind(c) :: c_turn
        character(kind=c_char) :: session(id_size)
        integer(c_int) :: state, dtype
        integer(c_long_long) :: step, evaluation
        integer(c_size_t) :: n
        type(c_ptr) :: x, x_f32
        integer(c_int) :: replayed, has_result
        type(c_result) :: result
        character(kind=c_char) :: etag(64)
    end type

    type, bind(c) :: c_minimum
        character(kind=c_char) :: session(id_size)
        type(c_result) :: result
        integer(c_long_long) :: calls
    end type

    !> What the context of an objective points to.
    type :: objective_box_t
        procedure(lbfgsd_objective), pointer, nopass :: objective => null()
    end type

    !> A string for C, with a pointer to it that is null if the string is absent.
    type :: c_text_t
        character(kind=c_char), pointer :: bytes(:) => null()
    contains
        procedure :: set => text_set
        procedure :: address => text_address
        final :: text_finalize
    end type

    interface
        subroutine lbfgsd_settings_init(settings) bind(c)
            import :: c_settings
            type(c_settings), intent(out) :: settings
        end subroutine

        function lbfgsd_open(settings) bind(c)
            import :: c_ptr, c_settings
            type(c_settings), intent(in) :: settings
            type(c_ptr) :: lbfgsd_open
        end function

        subroutine lbfgsd_close(client) bind(c)
            import :: c_ptr
            type(c_ptr), value :: client
        end subroutine

        function lbfgsd_last_error(client) bind(c)
            import :: c_ptr
            type(c_ptr), value :: client
            type(c_ptr) :: lbfgsd_last_error
        end function

        subroutine lbfgsd_turn_init(turn) bind(c)
            import :: c_turn
            type(c_turn), intent(out) :: turn
        end subroutine

        subroutine lbfgsd_turn_free(turn) bind(c)
            import :: c_turn
            type(c_turn), intent(inout) :: turn
        end subroutine

        function lbfgsd_create(client, create, session) bind(c)
            import :: c_char, c_int, c_new_session, c_ptr
            type(c_ptr), value :: client
            type(c_new_session), intent(in) :: create
            character(kind=c_char), intent(out) :: session(*)
            integer(c_int) :: lbfgsd_create
        end function

        function lbfgsd_delete(client, session) bind(c)
            import :: c_int, c_ptr
            type(c_ptr), value :: client, session
            integer(c_int) :: lbfgsd_delete
        end function

        function lbfgsd_begin(client, session, turn) bind(c)
            import :: c_int, c_ptr, c_turn
            type(c_ptr), value :: client, session
            type(c_turn), intent(inout) :: turn
            integer(c_int) :: lbfgsd_begin
        end function

        function lbfgsd_ask(client, session, wait, turn) bind(c)
            import :: c_int, c_ptr, c_turn
            type(c_ptr), value :: client, session
            integer(c_int), value :: wait
            type(c_turn), intent(inout) :: turn
            integer(c_int) :: lbfgsd_ask
        end function

        function lbfgsd_tell(client, turn, loss, gradient) bind(c)
            import :: c_double, c_int, c_ptr, c_turn
            type(c_ptr), value :: client
            type(c_turn), intent(inout) :: turn
            real(c_double), value :: loss
            real(c_double), intent(in) :: gradient(*)
            integer(c_int) :: lbfgsd_tell
        end function

        function lbfgsd_tell_failed(client, turn, reason) bind(c)
            import :: c_int, c_ptr, c_turn
            type(c_ptr), value :: client, reason
            type(c_turn), intent(inout) :: turn
            integer(c_int) :: lbfgsd_tell_failed
        end function

        function lbfgsd_stop(client, session, turn) bind(c)
            import :: c_int, c_ptr, c_turn
            type(c_ptr), value :: client, session
            type(c_turn), intent(inout) :: turn
            integer(c_int) :: lbfgsd_stop
        end function

        function lbfgsd_get_parameters(client, session, n, x) bind(c)
            import :: c_double, c_int, c_ptr, c_size_t
            type(c_ptr), value :: client, session
            integer(c_size_t), value :: n
            real(c_double), intent(out) :: x(*)
            integer(c_int) :: lbfgsd_get_parameters
        end function

        function lbfgsd_set_parameters(client, session, n, dtype, x) bind(c)
            import :: c_double, c_int, c_ptr, c_size_t
            type(c_ptr), value :: client, session
            integer(c_size_t), value :: n
            integer(c_int), value :: dtype
            real(c_double), intent(in) :: x(*)
            integer(c_int) :: lbfgsd_set_parameters
        end function

        function lbfgsd_checkpoint(client, session, name, checkpoint) bind(c)
            import :: c_int, c_long_long, c_ptr
            type(c_ptr), value :: client, session, name
            integer(c_long_long), intent(inout) :: checkpoint
            integer(c_int) :: lbfgsd_checkpoint
        end function

        function lbfgsd_restore(client, session, checkpoint, turn) bind(c)
            import :: c_int, c_long_long, c_ptr, c_turn
            type(c_ptr), value :: client, session
            integer(c_long_long), value :: checkpoint
            type(c_turn), intent(inout) :: turn
            integer(c_int) :: lbfgsd_restore
        end function

        function lbfgsd_fork(client, session, checkpoint, fork) bind(c)
            import :: c_char, c_int, c_long_long, c_ptr
            type(c_ptr), value :: client, session
            integer(c_long_long), value :: checkpoint
            character(kind=c_char), intent(out) :: fork(*)
            integer(c_int) :: lbfgsd_fork
        end function

        function lbfgsd_request(client, method, path, json, reply) bind(c)
            import :: c_int, c_ptr
            type(c_ptr), value :: client, method, path, json
            type(c_ptr), intent(out) :: reply
            integer(c_int) :: lbfgsd_request
        end function

        function lbfgsd_minimize(client, create, function, context, x, minimum) bind(c)
            import :: c_double, c_funptr, c_int, c_minimum, c_new_session, c_ptr
            type(c_ptr), value :: client, context
            type(c_new_session), intent(in) :: create
            type(c_funptr), value :: function
            real(c_double), intent(inout) :: x(*)
            type(c_minimum), intent(out) :: minimum
            integer(c_int) :: lbfgsd_minimize
        end function

        function lbfgsd_resume(client, session, n, function, context, x, minimum) bind(c)
            import :: c_double, c_funptr, c_int, c_minimum, c_ptr, c_size_t
            type(c_ptr), value :: client, session, context
            integer(c_size_t), value :: n
            type(c_funptr), value :: function
            real(c_double), intent(inout) :: x(*)
            type(c_minimum), intent(out) :: minimum
            integer(c_int) :: lbfgsd_resume
        end function

        function c_strlen(string) bind(c, name="strlen")
            import :: c_ptr, c_size_t
            type(c_ptr), value :: string
            integer(c_size_t) :: c_strlen
        end function

        subroutine c_free(memory) bind(c, name="free")
            import :: c_ptr
            type(c_ptr), value :: memory
        end subroutine
    end interface

contains

    ! The client

    !> Opens the client. Sends nothing yet. What is left out has the defaults of lbfgsd_client.h:
    !> `url` and `token` are $LBFGSD_URL and $LBFGSD_TOKEN, times are in seconds.
    subroutine client_open(self, url, token, unix_socket, ca_file, timeout, deadline, &
            first_deadline, pause_initial, pause_max, stat, errmsg)
        class(lbfgsd_client_t), intent(inout) :: self
        character(len=*), intent(in), optional :: url, token, unix_socket, ca_file
        real(real64), intent(in), optional :: timeout, deadline, first_deadline
        real(real64), intent(in), optional :: pause_initial, pause_max
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_settings) :: settings
        type(c_text_t) :: c_url, c_token, c_socket, c_ca_file

        call self%close()
        call lbfgsd_settings_init(settings)
        call c_url%set(url)
        call c_token%set(token)
        call c_socket%set(unix_socket)
        call c_ca_file%set(ca_file)
        settings%url = c_url%address()
        settings%token = c_token%address()
        settings%unix_socket = c_socket%address()
        settings%ca_file = c_ca_file%address()
        if (present(timeout)) settings%timeout = timeout
        if (present(deadline)) settings%deadline = deadline
        if (present(first_deadline)) settings%first_deadline = first_deadline
        if (present(pause_initial)) settings%pause_initial = pause_initial
        if (present(pause_max)) settings%pause_max = pause_max
        self%handle = lbfgsd_open(settings)
        call finish(self, merge(lbfgsd_ok, lbfgsd_no_memory, c_associated(self%handle)), stat, &
            errmsg)
    end subroutine

    subroutine client_close(self)
        class(lbfgsd_client_t), intent(inout) :: self

        call lbfgsd_close(self%handle)
        self%handle = c_null_ptr
    end subroutine

    subroutine client_finalize(self)
        type(lbfgsd_client_t), intent(inout) :: self

        call self%close()
    end subroutine

    !> The error of the last call.
    function client_last_error(self) result(error)
        class(lbfgsd_client_t), intent(in) :: self
        type(lbfgsd_error_t) :: error
        type(c_error), pointer :: found

        if (.not. c_associated(self%handle)) then
            error = lbfgsd_error_t(lbfgsd_no_memory, 0, "", "", "", "", "", "there is no client")
            return
        end if
        call c_f_pointer(lbfgsd_last_error(self%handle), found)
        error%code = found%code
        error%http_status = found%http_status
        error%type = string_of(found%type)
        error%title = string_of(found%title)
        error%detail = string_of(found%detail)
        error%field = string_of(found%field)
        error%reason = string_of(found%reason)
        error%message = string_of(found%message)
    end function

    !> Passes the outcome of a call on to its caller.
    subroutine finish(self, code, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        integer, intent(in) :: code
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(lbfgsd_error_t) :: error

        if (present(stat)) stat = code
        if (code == lbfgsd_ok) return
        if (present(errmsg) .or. .not. present(stat)) error = self%last_error()
        if (present(errmsg)) errmsg = error%message
        if (.not. present(stat)) then
            write (error_unit, "(2a)") "lbfgsd: ", error%message
            error stop 1
        end if
    end subroutine

    ! Sessions

    !> Creates a session at x0. `lower`, `upper` and `l1` have a number for each of x0; `options` is
    !> a JSON object.
    subroutine client_create(self, x0, session, lower, upper, l1, dtype, options, name, labels, &
            stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        real(real64), intent(in) :: x0(:)
        character(len=:), allocatable, intent(out) :: session
        real(real64), intent(in), optional :: lower(:), upper(:), l1(:)
        integer, intent(in), optional :: dtype
        character(len=*), intent(in), optional :: options, name
        type(lbfgsd_label_t), intent(in), optional :: labels(:)
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_minimum) :: unused
        real(c_double) :: no_point(1)
        integer :: code

        call with_new_session(self, x0, lower, upper, l1, dtype, options, name, labels, &
            c_null_ptr, no_point, unused, session, code)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Creates a session from arguments in Fortran's form; with an objective, minimizes it.
    subroutine with_new_session(self, x0, lower, upper, l1, dtype, options, name, labels, &
            context, x, minimum, session, code)
        class(lbfgsd_client_t), intent(in) :: self
        real(real64), intent(in) :: x0(:)
        real(real64), intent(in), optional :: lower(:), upper(:), l1(:)
        integer, intent(in), optional :: dtype
        character(len=*), intent(in), optional :: options, name
        type(lbfgsd_label_t), intent(in), optional :: labels(:)
        type(c_ptr), intent(in) :: context
        real(c_double), intent(inout) :: x(:)
        type(c_minimum), intent(out) :: minimum
        character(len=:), allocatable, intent(out) :: session
        integer, intent(out) :: code
        type(c_new_session) :: create
        type(c_text_t) :: c_options, c_name
        type(c_text_t), allocatable :: c_labels(:)
        type(c_ptr), allocatable, target :: addresses(:)
        real(c_double), allocatable, target :: start(:), low(:), high(:), weights(:)
        character(kind=c_char) :: identifier(id_size)
        integer :: i

        allocate (start, source=real(x0, c_double))
        create = c_new_session(size(x0, kind=c_size_t), c_loc(start), c_null_ptr, c_null_ptr, &
            c_null_ptr, lbfgsd_float64, c_null_ptr, c_null_ptr, c_null_ptr)
        call attach(lower, low, create%lower)
        call attach(upper, high, create%upper)
        call attach(l1, weights, create%l1)
        if (present(dtype)) create%dtype = int(dtype, c_int)
        call c_options%set(options)
        call c_name%set(name)
        create%options = c_options%address()
        create%name = c_name%address()
        if (present(labels)) then
            allocate (c_labels(2 * size(labels)), addresses(2 * size(labels) + 1))
            do i = 1, size(labels)
                call c_labels(2 * i - 1)%set(labels(i)%key)
                call c_labels(2 * i)%set(labels(i)%value)
                addresses(2 * i - 1) = c_labels(2 * i - 1)%address()
                addresses(2 * i) = c_labels(2 * i)%address()
            end do
            addresses(size(addresses)) = c_null_ptr
            create%labels = c_loc(addresses)
        end if
        if (c_associated(context)) then
            code = lbfgsd_minimize(self%handle, create, c_funloc(call_objective), context, x, &
                minimum)
            session = string_of(minimum%session)
        else
            identifier = c_null_char
            code = lbfgsd_create(self%handle, create, identifier)
            session = string_of(identifier)
        end if
    end subroutine

    !> Copies numbers to where C can find them.
    subroutine attach(numbers, copy, address)
        real(real64), intent(in), optional :: numbers(:)
        real(c_double), allocatable, target, intent(inout) :: copy(:)
        type(c_ptr), intent(inout) :: address

        if (.not. present(numbers)) return
        allocate (copy, source=real(numbers, c_double))
        address = c_loc(copy)
    end subroutine

    !> Deletes a session for good.
    subroutine client_delete(self, session, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session

        call c_session%set(session)
        call finish(self, lbfgsd_delete(self%handle, c_session%address()), stat, errmsg)
    end subroutine

    ! Steps and evaluations

    !> Begins a step.
    subroutine client_begin(self, session, turn, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        type(lbfgsd_turn_t), intent(inout) :: turn
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session
        type(c_turn) :: next
        integer :: code

        call c_session%set(session)
        call lbfgsd_turn_init(next)
        code = lbfgsd_begin(self%handle, c_session%address(), next)
        call take_turn(code, next, turn)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Returns the turn. Of an idle session it does so when a step begins, or after `wait` seconds
    !> (at most 30).
    subroutine client_ask(self, session, turn, wait, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        type(lbfgsd_turn_t), intent(inout) :: turn
        integer, intent(in), optional :: wait
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session
        type(c_turn) :: next
        integer :: code, seconds

        seconds = 0
        if (present(wait)) seconds = wait
        call c_session%set(session)
        call lbfgsd_turn_init(next)
        code = lbfgsd_ask(self%handle, c_session%address(), int(seconds, c_int), next)
        call take_turn(code, next, turn)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Tells loss and gradient at the turn's point, and replaces the turn by the next.
    subroutine client_tell(self, turn, loss, gradient, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        type(lbfgsd_turn_t), intent(inout) :: turn
        real(real64), intent(in) :: loss
        real(real64), intent(in) :: gradient(:)
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_turn) :: next
        integer :: code

        next = told_turn(turn)
        ! The server says so if these are not as many as there are parameters.
        next%n = size(gradient, kind=c_size_t)
        code = lbfgsd_tell(self%handle, next, loss, gradient)
        call take_turn(code, next, turn)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Tells that the turn's point can't be evaluated; the line search then contracts.
    subroutine client_tell_failed(self, turn, reason, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        type(lbfgsd_turn_t), intent(inout) :: turn
        character(len=*), intent(in) :: reason
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_reason
        type(c_turn) :: next
        integer :: code

        next = told_turn(turn)
        call c_reason%set(reason)
        code = lbfgsd_tell_failed(self%handle, next, c_reason%address())
        call take_turn(code, next, turn)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Ends the running step at the best point that it has seen.
    subroutine client_stop(self, session, turn, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        type(lbfgsd_turn_t), intent(inout) :: turn
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session
        type(c_turn) :: next
        integer :: code

        call c_session%set(session)
        call lbfgsd_turn_init(next)
        code = lbfgsd_stop(self%handle, c_session%address(), next)
        call take_turn(code, next, turn)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> What C has to know of a turn that is told. It has no point, so there is nothing to free.
    function told_turn(turn) result(told)
        type(lbfgsd_turn_t), intent(in) :: turn
        type(c_turn) :: told
        integer :: i

        call lbfgsd_turn_init(told)
        if (.not. allocated(turn%session)) return
        do i = 1, min(len(turn%session), id_size - 1)
            told%session(i) = turn%session(i:i)
        end do
        told%dtype = int(turn%dtype, c_int)
        told%evaluation = turn%evaluation
        if (allocated(turn%x)) told%n = size(turn%x, kind=c_size_t)
    end function

    !> Takes over what C has read, if the call has succeeded, and frees it.
    subroutine take_turn(code, read, turn)
        integer, intent(in) :: code
        type(c_turn), intent(inout) :: read
        type(lbfgsd_turn_t), intent(inout) :: turn
        real(c_double), pointer :: x(:)
        real(c_float), pointer :: x_f32(:)

        if (code /= lbfgsd_ok) return
        turn%session = string_of(read%session)
        turn%etag = string_of(read%etag)
        turn%state = read%state
        turn%dtype = read%dtype
        turn%step = read%step
        turn%evaluation = read%evaluation
        turn%replayed = read%replayed /= 0
        turn%has_result = read%has_result /= 0
        turn%result = result_of(read%result)
        if (c_associated(read%x)) then
            call c_f_pointer(read%x, x, [read%n])
            turn%x = real(x, real64)
        else
            call c_f_pointer(read%x_f32, x_f32, [read%n])
            turn%x = real(x_f32, real64)
        end if
        call lbfgsd_turn_free(read)
    end subroutine

    function result_of(read) result(step)
        type(c_result), intent(in) :: read
        type(lbfgsd_result_t) :: step

        step%reason = string_of(read%reason)
        step%converged = read%converged /= 0
        step%loss_before = read%loss_before
        step%loss = read%loss
        step%gradient_norm_inf = read%gradient_norm_inf
        step%projected_gradient_norm_inf = read%projected_gradient_norm_inf
        step%iterations = read%iterations
        step%evaluations = read%evaluations
        step%active_bounds = read%active_bounds
    end function

    ! Parameters and checkpoints

    !> Reads the parameters into x, which has as many numbers.
    subroutine client_get_parameters(self, session, x, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        real(real64), intent(inout) :: x(:)
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session
        integer :: code

        call c_session%set(session)
        code = lbfgsd_get_parameters(self%handle, c_session%address(), &
            size(x, kind=c_size_t), x)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Replaces the parameters, between steps. `dtype` is the session's.
    subroutine client_set_parameters(self, session, x, dtype, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        real(real64), intent(in) :: x(:)
        integer, intent(in), optional :: dtype
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session
        integer :: code, kind_of_numbers

        kind_of_numbers = lbfgsd_float64
        if (present(dtype)) kind_of_numbers = dtype
        call c_session%set(session)
        code = lbfgsd_set_parameters(self%handle, c_session%address(), &
            size(x, kind=c_size_t), int(kind_of_numbers, c_int), x)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Saves the session as it is, even in the middle of a line search.
    subroutine client_checkpoint(self, session, checkpoint, name, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        integer(int64), intent(out) :: checkpoint
        character(len=*), intent(in), optional :: name
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session, c_name
        integer(c_long_long) :: number
        integer :: code

        number = 0
        call c_session%set(session)
        call c_name%set(name)
        code = lbfgsd_checkpoint(self%handle, c_session%address(), c_name%address(), number)
        checkpoint = number
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Returns the session to a checkpoint.
    subroutine client_restore(self, session, checkpoint, turn, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        integer(int64), intent(in) :: checkpoint
        type(lbfgsd_turn_t), intent(inout) :: turn
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session
        type(c_turn) :: next
        integer :: code

        call c_session%set(session)
        call lbfgsd_turn_init(next)
        code = lbfgsd_restore(self%handle, c_session%address(), &
            int(checkpoint, c_long_long), next)
        call take_turn(code, next, turn)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Creates a session that starts from a checkpoint.
    subroutine client_fork(self, session, checkpoint, fork, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: session
        integer(int64), intent(in) :: checkpoint
        character(len=:), allocatable, intent(out) :: fork
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_session
        character(kind=c_char) :: identifier(id_size)
        integer :: code

        identifier = c_null_char
        call c_session%set(session)
        code = lbfgsd_fork(self%handle, c_session%address(), int(checkpoint, c_long_long), &
            identifier)
        fork = string_of(identifier)
        call finish(self, code, stat, errmsg)
    end subroutine

    !> Any other operation: sends JSON to a path such as "/v1/limits", and returns the reply's.
    subroutine client_request(self, method, path, reply, json, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        character(len=*), intent(in) :: method, path
        character(len=:), allocatable, intent(out) :: reply
        character(len=*), intent(in), optional :: json
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(c_text_t) :: c_method, c_path, c_json
        type(c_ptr) :: received
        character(kind=c_char), pointer :: bytes(:)
        integer :: code

        call c_method%set(method)
        call c_path%set(path)
        call c_json%set(json)
        code = lbfgsd_request(self%handle, c_method%address(), c_path%address(), &
            c_json%address(), received)
        if (c_associated(received)) then
            call c_f_pointer(received, bytes, [c_strlen(received) + 1])
            reply = string_of(bytes)
            call c_free(received)
        else
            reply = ""
        end if
        call finish(self, code, stat, errmsg)
    end subroutine

    ! Minimizing

    !> Creates a session and runs a step of it to its end. The options are those of mode robust with
    !> SciPy's tolerances, unless `options` replaces them. If the objective ends the run, the step
    !> is stopped at its best point, and `stat` is lbfgsd_interrupted.
    subroutine client_minimize(self, objective, x0, minimum, lower, upper, l1, dtype, options, &
            name, labels, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        procedure(lbfgsd_objective) :: objective
        real(real64), intent(in) :: x0(:)
        type(lbfgsd_minimum_t), intent(out) :: minimum
        real(real64), intent(in), optional :: lower(:), upper(:), l1(:)
        integer, intent(in), optional :: dtype
        character(len=*), intent(in), optional :: options, name
        type(lbfgsd_label_t), intent(in), optional :: labels(:)
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(objective_box_t), target :: box
        type(c_minimum) :: found
        integer :: code

        box%objective => objective
        minimum%x = x0
        call with_new_session(self, x0, lower, upper, l1, dtype, options, name, labels, &
            c_loc(box), minimum%x, found, minimum%session, code)
        minimum%result = result_of(found%result)
        minimum%calls = found%calls
        call finish(self, code, stat, errmsg)
    end subroutine

    !> The same for a session of n numbers that exists: takes up its step, or begins one.
    subroutine client_resume(self, objective, session, n, minimum, stat, errmsg)
        class(lbfgsd_client_t), intent(in) :: self
        procedure(lbfgsd_objective) :: objective
        character(len=*), intent(in) :: session
        integer, intent(in) :: n
        type(lbfgsd_minimum_t), intent(out) :: minimum
        integer, intent(out), optional :: stat
        character(len=:), allocatable, intent(inout), optional :: errmsg
        type(objective_box_t), target :: box
        type(c_text_t) :: c_session
        type(c_minimum) :: found
        integer :: code

        box%objective => objective
        call c_session%set(session)
        allocate (minimum%x(n), source=0.0_real64)
        code = lbfgsd_resume(self%handle, c_session%address(), int(n, c_size_t), &
            c_funloc(call_objective), c_loc(box), minimum%x, found)
        minimum%result = result_of(found%result)
        minimum%session = session
        minimum%calls = found%calls
        call finish(self, code, stat, errmsg)
    end subroutine

    !> What C calls: the objective that the context points to.
    function call_objective(n, x, loss, gradient, context) bind(c) result(status)
        integer(c_size_t), value :: n
        real(c_double), intent(in) :: x(n)
        real(c_double), intent(out) :: loss
        real(c_double), intent(out) :: gradient(n)
        type(c_ptr), value :: context
        integer(c_int) :: status
        type(objective_box_t), pointer :: box
        integer :: outcome

        call c_f_pointer(context, box)
        call box%objective(x, loss, gradient, outcome)
        status = int(outcome, c_int)
    end function

    ! Strings

    subroutine text_set(self, string)
        class(c_text_t), intent(inout) :: self
        character(len=*), intent(in), optional :: string
        integer :: i

        if (.not. present(string)) return
        allocate (self%bytes(len(string) + 1))
        do i = 1, len(string)
            self%bytes(i) = string(i:i)
        end do
        self%bytes(len(string) + 1) = c_null_char
    end subroutine

    function text_address(self) result(address)
        class(c_text_t), intent(in) :: self
        type(c_ptr) :: address

        address = c_null_ptr
        if (associated(self%bytes)) address = c_loc(self%bytes(1))
    end function

    impure elemental subroutine text_finalize(self)
        type(c_text_t), intent(inout) :: self

        if (associated(self%bytes)) deallocate (self%bytes)
    end subroutine

    !> The string that C has written.
    function string_of(bytes) result(string)
        character(kind=c_char), intent(in) :: bytes(:)
        character(len=:), allocatable :: string
        integer :: i, length

        do length = 0, size(bytes) - 1
            if (bytes(length + 1) == c_null_char) exit
        end do
        allocate (character(len=length) :: string)
        do i = 1, length
            string(i:i) = bytes(i)
        end do
    end function

end module lbfgsd_client
