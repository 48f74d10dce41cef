// Minimises Rosenbrock's function by the client that openapi-generator makes with cpp-restsdk.
//
//     with_cpprest URL N
//
// Prints a JSON document with what was found.

#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "CppRestOpenAPIClient/ApiClient.h"
#include "CppRestOpenAPIClient/ApiConfiguration.h"
#include "CppRestOpenAPIClient/ApiException.h"
#include "CppRestOpenAPIClient/api/EvaluationsApi.h"
#include "CppRestOpenAPIClient/api/SessionsApi.h"
#include "CppRestOpenAPIClient/api/StepsApi.h"

using namespace org::openapitools::client::api;
using namespace org::openapitools::client::model;

using Reason = StepResult::ReasonEnum;

static std::pair<double, std::vector<double>> rosenbrock(const std::vector<double> &x) {
    double loss = 0;
    std::vector<double> gradient(x.size());
    for (std::size_t i = 0; i + 1 < x.size(); i++) {
        double rise = x[i + 1] - x[i] * x[i], rest = 1 - x[i];
        loss += 100 * rise * rise + rest * rest;
        gradient[i] += -400 * x[i] * rise - 2 * rest;
        gradient[i + 1] += 200 * rise;
    }
    return {loss, gradient};
}

static std::shared_ptr<AnyType> any(double number) {
    auto value = std::make_shared<AnyType>();
    value->fromJson(web::json::value(number));
    return value;
}

static std::vector<double> numbers(const std::vector<std::shared_ptr<AnyType>> &values) {
    std::vector<double> result;
    for (const auto &value : values) result.push_back(value->toJson().as_double());
    return result;
}

int main(int, char **arguments) {
    auto configuration = std::make_shared<ApiConfiguration>();
    configuration->setBaseUrl(arguments[1]);
    auto client = std::make_shared<ApiClient>(configuration);
    SessionsApi sessions(client);
    StepsApi steps(client);
    EvaluationsApi evaluations(client);

    std::vector<double> start;
    for (int i = 0; i < std::atoi(arguments[2]); i++) start.push_back(i % 2 == 0 ? -1.2 : 1);
    auto mode = std::make_shared<Mode>();
    mode->setValue(Mode::eMode::ROBUST);
    auto options = std::make_shared<CreateOptions>();
    options->setMode(mode);
    options->setToleranceGrad(any(1e-8));
    auto request = std::make_shared<CreateRequest>();
    request->setX0(start);
    request->setOptions(options);
    request->setLabels({{"from", "cpprest"}});
    auto session = sessions.createSession(request, boost::none, boost::none).get()->getId();

    std::shared_ptr<Turn> turn;
    int told = 0;
    do {
        // Without it the generated client sends null, which is no object.
        auto begin = std::make_shared<StepRequest>();
        turn = steps.beginStep(session, boost::none, boost::none, begin).get();
        while (turn->getState()->getValue() == State::eState::EVALUATING) {
            auto pending = turn->getEvaluation();
            auto [loss, gradient] = rosenbrock(numbers(pending->getX()));
            std::vector<std::shared_ptr<AnyType>> values;
            for (double number : gradient) values.push_back(any(number));
            auto tell = std::make_shared<TellRequest>();
            tell->setLoss(any(loss));
            tell->setGradient(values);
            turn = evaluations
                       .tellResult(session, pending->getNumber(), tell, boost::none, boost::none)
                       .get();
            told++;
        }
    } while (turn->getResult()->getReason() == Reason::MAX_ITERATIONS ||
             turn->getResult()->getReason() == Reason::MAX_EVALUATIONS);

    std::string problem = "none";
    try {
        sessions.getSession("s" + std::string(20, '0'), boost::none).get();
    } catch (const ApiException &error) {
        std::stringstream body;
        body << error.getContent()->rdbuf();
        Problem document;
        document.fromJson(web::json::value::parse(body.str()));
        problem = document.toJson().at("type").as_string();
    }
    auto result = turn->getResult();
    auto found = web::json::value::object();
    found["session"] = web::json::value(session);
    found["x"] = turn->toJson().at("x");
    found["loss"] = result->getLoss()->toJson();
    found["reason"] = web::json::value(result->fromReasonEnum(result->getReason()));
    found["converged"] = web::json::value(result->isConverged());
    found["evaluations"] = web::json::value(told);
    found["problem"] = web::json::value(problem);
    std::cout << found.serialize() << std::endl;
}
