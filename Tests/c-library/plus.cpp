// The header in C++98, and an optimizer in a class.
#include <lbfgsd.h>

#include <cmath>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace {

class Optimizer {
  public:
    explicit Optimizer(const std::vector<double> &start, const lbfgsd_options *options = 0) {
        lbfgsd_error error;
        if (lbfgsd_create(&optimizer_, start.size(), &start[0], options, &error) < 0)
            throw std::invalid_argument(error.text);
    }
    ~Optimizer() { lbfgsd_destroy(optimizer_); }

    template <typename Function> lbfgsd_result minimize(Function function) {
        lbfgsd_status status = lbfgsd_begin(optimizer_, 0, 0);
        while (status == LBFGSD_EVALUATE) {
            double *g = lbfgsd_gradient_buffer(optimizer_);
            double loss = function(lbfgsd_count(optimizer_), lbfgsd_point(optimizer_), g);
            status = lbfgsd_advance(optimizer_, loss, g, 0);
        }
        lbfgsd_result result;
        result.size = sizeof result;
        lbfgsd_get_result(optimizer_, &result, 0);
        return result;
    }

    std::vector<double> x() const {
        const double *first = lbfgsd_x(optimizer_);
        return std::vector<double>(first, first + lbfgsd_count(optimizer_));
    }

  private:
    Optimizer(const Optimizer &);
    Optimizer &operator=(const Optimizer &);
    lbfgsd_optimizer *optimizer_;
};

double quartic(size_t n, const double *x, double *g) {
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        double a = x[i] - double(i);
        loss += a * a * a * a + a * a;
        g[i] = 4 * a * a * a + 2 * a;
    }
    return loss;
}

} // namespace

int main() {
    Optimizer optimizer(std::vector<double>(5, 7.0));
    lbfgsd_result result = optimizer.minimize(quartic);
    std::vector<double> x = optimizer.x();
    for (size_t i = 0; i < x.size(); i++)
        if (!(std::fabs(x[i] - double(i)) < 1e-6)) return 1;
    if (!result.converged) return 2;
    try {
        Optimizer wrong(std::vector<double>(5, std::sqrt(-1.0)));
        return 3;
    } catch (const std::invalid_argument &error) {
        if (std::string(error.what()).find("index 0") == std::string::npos) return 4;
    }
    std::cout << "plus: ok\n";
    return 0;
}
