! The library from Fortran 2003 by iso_c_binding: interfaces of what the program uses, a run by
! reverse communication with bounds, and one with a callback.
module lbfgsd
    use, intrinsic :: iso_c_binding
    implicit none

    integer(c_int), parameter :: lbfgsd_ok = 0, lbfgsd_evaluate = 1, lbfgsd_finished = 2
    integer(c_int), parameter :: lbfgsd_error_bounds = -5
    integer(c_int32_t), parameter :: lbfgsd_mode_robust = 1

    type, bind(c) :: lbfgsd_options
        integer(c_size_t) :: size
        integer(c_int32_t) :: mode, line_search, history_dtype, reuse_evaluation
        integer(c_int64_t) :: max_iter, max_eval, history_size
        real(c_double) :: lr, tolerance_grad, tolerance_grad_relative
        real(c_double) :: tolerance_change, tolerance_loss_relative, noise
    end type

    type, bind(c) :: lbfgsd_error
        integer(c_int32_t) :: code
        character(kind=c_char) :: text(252)
    end type

    type, bind(c) :: lbfgsd_result
        integer(c_size_t) :: size
        integer(c_int32_t) :: reason, converged
        integer(c_int64_t) :: iterations, evaluations, total_iterations, total_evaluations
        real(c_double) :: loss_before, loss, gradient_norm_inf, projected_gradient_norm_inf
        integer(c_int64_t) :: active_bounds
        real(c_double) :: best_loss
        integer(c_int64_t) :: failed_search_trials
        real(c_double) :: failed_search_loss_change, failed_search_loss_noise
        real(c_double) :: failed_search_slope, failed_search_direction_norm_inf
        real(c_double) :: failed_search_step_length_lower, failed_search_step_length_upper
    end type

    interface
        integer(c_int) function lbfgsd_options_init(options, size, mode) bind(c)
            import
            type(lbfgsd_options), intent(out) :: options
            integer(c_size_t), value :: size
            integer(c_int32_t), value :: mode
        end function

        integer(c_int) function lbfgsd_create(optimizer, n, x0, options, error) bind(c)
            import
            type(c_ptr), intent(out) :: optimizer
            integer(c_size_t), value :: n
            real(c_double), intent(in) :: x0(*)
            type(lbfgsd_options), intent(in) :: options
            type(lbfgsd_error), intent(out) :: error
        end function

        subroutine lbfgsd_destroy(optimizer) bind(c)
            import
            type(c_ptr), value :: optimizer
        end subroutine

        integer(c_int) function lbfgsd_set_bounds(optimizer, lower, upper, error) bind(c)
            import
            type(c_ptr), value :: optimizer
            real(c_double), intent(in) :: lower(*), upper(*)
            type(lbfgsd_error), intent(out) :: error
        end function

        ! The second argument is c_null_ptr for the optimizer's own options.
        integer(c_int) function lbfgsd_begin(optimizer, options, error) bind(c)
            import
            type(c_ptr), value :: optimizer, options
            type(lbfgsd_error), intent(out) :: error
        end function

        type(c_ptr) function lbfgsd_point(optimizer) bind(c)
            import
            type(c_ptr), value :: optimizer
        end function

        type(c_ptr) function lbfgsd_x(optimizer) bind(c)
            import
            type(c_ptr), value :: optimizer
        end function

        integer(c_int) function lbfgsd_advance(optimizer, loss, gradient, error) bind(c)
            import
            type(c_ptr), value :: optimizer
            real(c_double), value :: loss
            real(c_double), intent(in) :: gradient(*)
            type(lbfgsd_error), intent(out) :: error
        end function

        integer(c_int) function lbfgsd_get_result(optimizer, result, error) bind(c)
            import
            type(c_ptr), value :: optimizer
            type(lbfgsd_result), intent(inout) :: result
            type(lbfgsd_error), intent(out) :: error
        end function

        integer(c_int) function lbfgsd_minimize( &
            n, x, lower, upper, evaluate, progress, instance, options, result, error) bind(c)
            import
            integer(c_size_t), value :: n
            real(c_double), intent(inout) :: x(*)
            type(c_ptr), value :: lower, upper, instance
            type(c_funptr), value :: evaluate, progress
            type(lbfgsd_options), intent(in) :: options
            type(lbfgsd_result), intent(inout) :: result
            type(lbfgsd_error), intent(out) :: error
        end function
    end interface

contains

    ! Rosenbrock's function, as a callback.
    integer(c_int) function rosenbrock(instance, n, x, loss, g) bind(c)
        type(c_ptr), value :: instance
        integer(c_size_t), value :: n
        real(c_double), intent(in) :: x(n)
        real(c_double), intent(out) :: loss, g(n)
        real(c_double) :: a, b
        a = x(2) - x(1)**2
        b = 1 - x(1)
        loss = 100 * a**2 + b**2
        g(1) = -400 * a * x(1) - 2 * b
        g(2) = 200 * a
        rosenbrock = 0
    end function
end module

program fortran
    use lbfgsd
    implicit none

    type(c_ptr) :: optimizer
    type(lbfgsd_options) :: options
    type(lbfgsd_error) :: error
    type(lbfgsd_result) :: result
    real(c_double), pointer :: x(:)
    real(c_double) :: start(2), g(2), loss, infinity
    integer(c_int) :: status, ignored
    integer(c_size_t), parameter :: n = 2

    infinity = huge(infinity)
    infinity = 2 * infinity
    status = lbfgsd_options_init(options, c_sizeof(options), lbfgsd_mode_robust)
    if (status /= lbfgsd_ok) stop 1
    options%tolerance_grad = 1e-9_c_double
    result%size = c_sizeof(result)

    start = [-1.2_c_double, 1.0_c_double]
    status = lbfgsd_create(optimizer, n, start, options, error)
    if (status /= lbfgsd_ok) stop 2
    status = lbfgsd_set_bounds(optimizer, [1.0_c_double, 1.0_c_double], &
        [0.0_c_double, 2.0_c_double], error)
    if (status /= lbfgsd_error_bounds .or. error%code /= status) stop 3
    if (error%text(1) /= 'l' .or. error%text(2) /= 'o') stop 4
    status = lbfgsd_set_bounds(optimizer, [-infinity, -infinity], &
        [0.5_c_double, infinity], error)
    if (status /= lbfgsd_ok) stop 5
    status = lbfgsd_begin(optimizer, c_null_ptr, error)
    do while (status == lbfgsd_evaluate)
        call c_f_pointer(lbfgsd_point(optimizer), x, [n])
        if (x(1) > 0.5_c_double) stop 6
        ignored = rosenbrock(c_null_ptr, n, x, loss, g)
        status = lbfgsd_advance(optimizer, loss, g, error)
    end do
    if (status /= lbfgsd_finished) stop 7
    status = lbfgsd_get_result(optimizer, result, error)
    if (status /= lbfgsd_ok .or. result%converged /= 1 .or. result%active_bounds /= 1) stop 8
    call c_f_pointer(lbfgsd_x(optimizer), x, [n])
    if (x(1) /= 0.5_c_double .or. abs(x(2) - 0.25_c_double) > 1e-8_c_double) stop 9
    call lbfgsd_destroy(optimizer)

    status = lbfgsd_minimize(n, start, c_null_ptr, c_null_ptr, c_funloc(rosenbrock), &
        c_null_funptr, c_null_ptr, options, result, error)
    if (status /= lbfgsd_finished .or. result%converged /= 1) stop 10
    if (any(abs(start - 1) > 1e-8_c_double)) stop 11
    print '(a)', 'fortran: ok'
end program
