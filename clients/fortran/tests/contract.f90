!> The functions to minimize.
module contract_functions
    use, intrinsic :: iso_fortran_env, only: real64
    implicit none
    private
    public :: give_up, rosenbrock

    real(real64), public :: limit = huge(1.0_real64)
    integer, public :: calls_left = 0

contains

    !> The chained Rosenbrock function, infeasible where x(1) exceeds the limit. Parentheses fix the
    !> order of operations.
    subroutine rosenbrock(x, loss, gradient, status)
        real(real64), intent(in) :: x(:)
        real(real64), intent(out) :: loss
        real(real64), intent(out) :: gradient(:)
        integer, intent(out) :: status
        real(real64) :: rise, rest
        integer :: i

        status = merge(1, 0, x(1) > limit)
        loss = 0
        gradient = 0
        do i = 1, size(x) - 1
            rise = x(i + 1) - x(i) * x(i)
            rest = 1 - x(i)
            loss = loss + (100 * (rise * rise) + rest * rest)
            gradient(i) = gradient(i) + (((-400 * x(i)) * rise) - 2 * rest)
            gradient(i + 1) = gradient(i + 1) + 200 * rise
        end do
    end subroutine

    subroutine give_up(x, loss, gradient, status)
        real(real64), intent(in) :: x(:)
        real(real64), intent(out) :: loss
        real(real64), intent(out) :: gradient(:)
        integer, intent(out) :: status

        call rosenbrock(x, loss, gradient, status)
        if (calls_left == 0) status = -1
        calls_left = calls_left - 1
    end subroutine

end module contract_functions

!> Carries out the commands of the contract suite, Tests/integration/clients, one a line. The answer
!> is a line of fields: "ok" or "error", then KEY=VALUE. Vectors are the hexadecimal digits of
!> doubles, 16 each; "-" stands for what is not there.
program contract
    use, intrinsic :: iso_fortran_env, only: input_unit, int64, iostat_end, iostat_eor
    use, intrinsic :: iso_fortran_env, only: output_unit, real64
    use contract_functions, only: calls_left, give_up, limit, rosenbrock
    use lbfgsd_client
    implicit none

    type :: word_t
        character(len=:), allocatable :: text
    end type

    type(lbfgsd_client_t) :: client
    type(lbfgsd_turn_t) :: turn
    type(word_t) :: words(9)
    integer :: word_count
    character(len=:), allocatable :: line
    character(len=*), parameter :: states(0:2) = [character(len=13) :: &
        "idle", "evaluating", "awaiting_hook"]
    character(len=*), parameter :: kinds(0:6) = [character(len=11) :: "ok", "no-memory", &
        "invalid", "connection", "problem", "bad-reply", "interrupted"]

    do while (read_line(line))
        call split(line)
        call execute()
        write (output_unit, "(a)") ""
        flush (output_unit)
    end do
    call client%close()
    deallocate (line)

contains

    ! Lines and words

    function read_line(text) result(is_read)
        character(len=:), allocatable, intent(out) :: text
        logical :: is_read
        character(len=65536) :: piece
        integer :: length, status

        text = ""
        do
            read (input_unit, "(a)", advance="no", size=length, iostat=status) piece
            text = text // piece(:length)
            if (status /= 0) exit
        end do
        is_read = status == iostat_eor .or. (status == iostat_end .and. len(text) > 0)
    end function

    !> The reason of a failure is the rest of its line.
    subroutine split(text)
        character(len=*), intent(in) :: text
        integer :: begin, length

        begin = 1
        do word_count = 1, size(words)
            length = index(text(begin:), " ") - 1
            if (word_count == 4 .and. words(1)%text == "fail") length = -1
            if (length < 0) exit
            words(word_count)%text = text(begin:begin + length - 1)
            begin = begin + length + 1
        end do
        words(word_count)%text = text(begin:)
    end subroutine

    function integer_of(text) result(value)
        character(len=*), intent(in) :: text
        integer(int64) :: value

        read (text, *) value
    end function

    function real_of(text) result(value)
        character(len=*), intent(in) :: text
        real(real64) :: value

        read (text, *) value
    end function

    function vector(text) result(values)
        character(len=*), intent(in) :: text
        real(real64) :: values(len(text) / 16)
        integer(int64) :: bits
        integer :: i

        do i = 1, size(values)
            read (text(16 * i - 15:16 * i), "(z16)") bits
            values(i) = transfer(bits, values(i))
        end do
    end function

    ! What is not allocated is absent as an argument.

    subroutine read_vector(text, values)
        character(len=*), intent(in) :: text
        real(real64), allocatable, intent(out) :: values(:)

        if (text /= "-") values = vector(text)
    end subroutine

    subroutine read_text(text, given)
        character(len=*), intent(in) :: text
        character(len=:), allocatable, intent(out) :: given

        if (text /= "-") given = text
    end subroutine

    function dtype_of(text) result(dtype)
        character(len=*), intent(in) :: text
        integer :: dtype

        dtype = merge(lbfgsd_float32, lbfgsd_float64, text == "float32")
    end function

    ! Answers

    subroutine put(text)
        character(len=*), intent(in) :: text

        write (output_unit, "(a)", advance="no") text
    end subroutine

    subroutine put_integer(key, value)
        character(len=*), intent(in) :: key
        integer(int64), intent(in) :: value
        character(len=24) :: text

        write (text, "(i0)") value
        call put(" " // key // "=" // trim(text))
    end subroutine

    subroutine put_vector(key, values)
        character(len=*), intent(in) :: key
        real(real64), intent(in) :: values(:)
        character(len=16) :: text
        integer :: i

        call put(" " // key // "=")
        do i = 1, size(values)
            write (text, "(z16.16)") transfer(values(i), 0_int64)
            call put(lower_case(text))
        end do
    end subroutine

    function lower_case(text) result(lower)
        character(len=*), intent(in) :: text
        character(len=len(text)) :: lower
        integer :: i

        lower = text
        do i = 1, len(text)
            if (text(i:i) >= "A" .and. text(i:i) <= "F") lower(i:i) = achar(iachar(text(i:i)) + 32)
        end do
    end function

    subroutine put_error()
        type(lbfgsd_error_t) :: error

        error = client%last_error()
        call put("error kind=" // trim(kinds(error%code)))
        call put_integer("status", int(error%http_status, int64))
        call put(" type=" // error%type // " field=" // error%field // " message=" // error%message)
    end subroutine

    subroutine put_result(step)
        type(lbfgsd_result_t), intent(in) :: step

        call put(" reason=" // step%reason)
        call put_integer("converged", merge(1_int64, 0_int64, step%converged))
        call put_integer("iterations", step%iterations)
        call put_integer("evaluations", step%evaluations)
        call put_vector("loss", [step%loss])
    end subroutine

    subroutine put_turn(code)
        integer, intent(in) :: code

        if (code /= lbfgsd_ok) then
            call put_error()
            return
        end if
        call put("ok session=" // turn%session // " state=" // trim(states(turn%state)))
        call put_integer("step", turn%step)
        call put_integer("evaluation", turn%evaluation)
        call put(" dtype=" // trim(merge("float32", "float64", turn%dtype == lbfgsd_float32)))
        call put_integer("replayed", merge(1_int64, 0_int64, turn%replayed))
        if (turn%has_result) call put_result(turn%result)
        call put_vector("x", turn%x)
    end subroutine

    subroutine put_field(code, key, value)
        integer, intent(in) :: code
        character(len=*), intent(in) :: key, value

        if (code /= lbfgsd_ok) then
            call put_error()
        else
            call put("ok " // key // "=" // value)
        end if
    end subroutine

    ! Commands

    subroutine execute()
        integer :: code
        integer(int64) :: checkpoint
        character(len=:), allocatable :: socket, text, token
        character(len=24) :: number

        limit = huge(limit)
        select case (words(1)%text)
        case ("open")
            call read_text(words(3)%text, token)
            call read_text(words(4)%text, socket)
            call client%open(words(2)%text, token, socket, &
                deadline=real_of(words(5)%text), first_deadline=real_of(words(6)%text), &
                timeout=real_of(words(7)%text), pause_initial=0.02_real64, pause_max=0.2_real64)
            call put("ok")
        case ("create")
            call create()
        case ("begin")
            call client%begin(words(2)%text, turn, code)
            call put_turn(code)
        case ("ask")
            call client%ask(words(2)%text, turn, stat=code)
            call put_turn(code)
        case ("stop")
            call client%stop(words(2)%text, turn, code)
            call put_turn(code)
        case ("next")
            call answer()
        case ("tell", "fail")
            call tell()
        case ("delete")
            call client%delete(words(2)%text, code)
            call put_field(code, "deleted", words(2)%text)
        case ("checkpoint")
            call client%checkpoint(words(2)%text, checkpoint, 'a "name"', code)
            write (number, "(i0)") checkpoint
            call put_field(code, "checkpoint", trim(number))
        case ("restore")
            call client%restore(words(2)%text, integer_of(words(3)%text), turn, code)
            call put_turn(code)
        case ("fork")
            call client%fork(words(2)%text, integer_of(words(3)%text), text, code)
            call put_field(code, "session", text)
        case ("parameters")
            call parameters()
        case ("minimize", "resume", "interrupt")
            call minimize()
        case ("request")
            call client%request(words(2)%text, words(3)%text, text, stat=code)
            call put_field(code, "reply", text)
        case default
            error stop 64
        end select
    end subroutine

    !> create DTYPE NAME LABEL OPTIONS LOWER UPPER X; the label is KEY:VALUE
    subroutine create()
        type(lbfgsd_label_t), allocatable :: labels(:)
        character(len=:), allocatable :: name, options, session
        real(real64), allocatable :: lower(:), upper(:)
        integer :: code, colon

        colon = index(words(4)%text, ":")
        if (colon > 0) then
            allocate (labels(1))
            labels(1)%key = words(4)%text(:colon - 1)
            labels(1)%value = words(4)%text(colon + 1:)
        end if
        call read_text(words(3)%text, name)
        call read_text(words(5)%text, options)
        call read_vector(words(6)%text, lower)
        call read_vector(words(7)%text, upper)
        call client%create(vector(words(8)%text), session, lower, upper, &
            dtype=dtype_of(words(2)%text), options=options, name=name, labels=labels, stat=code)
        call put_field(code, "session", session)
    end subroutine

    !> next: tells the function at the newest turn's point
    subroutine answer()
        real(real64) :: loss
        real(real64), allocatable :: gradient(:)
        integer :: code, status

        allocate (gradient(size(turn%x)))
        call rosenbrock(turn%x, loss, gradient, status)
        call client%tell(turn, loss, gradient, code)
        call put_turn(code)
    end subroutine

    !> tell SESSION NUMBER LOSS GRADIENT, fail SESSION NUMBER REASON
    subroutine tell()
        real(real64) :: loss(1)
        integer :: code

        call client%ask(words(2)%text, turn, stat=code)
        if (code == lbfgsd_ok) then
            turn%evaluation = integer_of(words(3)%text)
            if (words(1)%text == "fail") then
                call client%tell_failed(turn, words(4)%text, code)
            else
                loss = vector(words(4)%text)
                call client%tell(turn, loss(1), vector(words(5)%text), code)
            end if
        end if
        call put_turn(code)
    end subroutine

    !> parameters SESSION N [DTYPE X]: reads them, or replaces them first
    subroutine parameters()
        real(real64), allocatable :: x(:)
        integer :: code

        allocate (x(integer_of(words(3)%text)))
        code = lbfgsd_ok
        if (word_count > 3) call client%set_parameters(words(2)%text, vector(words(5)%text), &
            dtype_of(words(4)%text), code)
        if (code == lbfgsd_ok) call client%get_parameters(words(2)%text, x, code)
        if (code /= lbfgsd_ok) then
            call put_error()
        else
            call put("ok")
            call put_vector("x", x)
        end if
    end subroutine

    !> minimize DTYPE LIMIT LOWER UPPER X, resume SESSION N, interrupt CALLS X
    subroutine minimize()
        type(lbfgsd_minimum_t) :: minimum
        real(real64), allocatable :: lower(:), most(:), upper(:)
        integer :: code

        select case (words(1)%text)
        case ("resume")
            call client%resume(rosenbrock, words(2)%text, int(integer_of(words(3)%text)), minimum, &
                code)
        case ("interrupt")
            calls_left = int(integer_of(words(2)%text))
            call client%minimize(give_up, vector(words(3)%text), minimum, stat=code)
            if (code == lbfgsd_interrupted) code = lbfgsd_ok
        case default
            call read_vector(words(3)%text, most)
            call read_vector(words(4)%text, lower)
            call read_vector(words(5)%text, upper)
            if (allocated(most)) limit = most(1)
            call client%minimize(rosenbrock, vector(words(6)%text), minimum, lower, upper, &
                dtype=dtype_of(words(2)%text), stat=code)
        end select
        if (code /= lbfgsd_ok) then
            call put_error()
        else
            call put("ok session=" // minimum%session)
            call put_integer("calls", minimum%calls)
            call put_result(minimum%result)
            call put_vector("x", minimum%x)
        end if
    end subroutine

end program contract
